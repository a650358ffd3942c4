"""The operations of S3, one file a resource. `registry.py` lists the files; `service.py` is what they register with.

A handler is `async def put_object(call, p)`: `p` holds the parameters by the model's names. What is not here answers 501
NotImplemented. Conditions, ranges, headers, and bytes on their way in and out: the modules of `eucapy/walrus`.
"""
