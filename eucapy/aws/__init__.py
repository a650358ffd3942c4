"""The AWS wire: requests in, answers out, for every service that we serve, knowing nothing about our cloud.

How to bind it to a program:

1. Declare services and register handlers, in a file per resource:

        ec2 = Service("ec2", open_enums=("InstanceType",))                  # eucapy.aws.service

        @ec2.action("CreateVolume")
        async def create_volume(call, p): ...                               # p: parsed and validated; returns a dict

2. Implement `chain.Environment`: `credential`, `authorize`, `invoke`, `audit`. `invoke(request, handler)` opens the
   transaction, makes the program's own call object of `request` and runs `await handler.function(call, request.params)`.

3. Put it together and serve:

        router = Router([ec2, iam, sts], foreign=("s3",), domains=("localhost",))      # eucapy.aws.route
        chain = Chain(router, environment, region="us-east-1")                         # eucapy.aws.chain
        edge = Edge(chain, foreign={"s3": pass_on_to_walrus})                          # eucapy.aws.http
        async with serving(edge, "127.0.0.1", 8773) as (host, port): ...

Errors are classes derived from `eucapy.errors.ApiError`. Lists of many rows: `xml.fragment("ec2", "Instance")` renders a
row's XML once, to be kept and given to the serializer in place of the dict. Pages: `paging.py`. Uploads arrive as a
`bodies.BodyReader`; downloads leave as bytes or a `message.Body`.

Where to read on: `chain.py` is the table of contents; `models.py` and `protocols.py` turn botocore's models into parsers
and serializers, one file per protocol; `route.py`, `authenticate.py`, `validate.py` are the steps.
"""
