"""Server-side encryption: what a write asks for, the envelope of an object, and who may open it.

    SSE-S3, SSE-KMS   data key of the object, wrapped by the keyring         the store opens it for whoever may read
    SSE-C             data key of the object, wrapped by the customer's key  every read brings that key; it is never kept
    the bucket's default stands in for a write that asks for nothing

A data key is made for each object (or upload, for all its parts) and wrapped with bucket and key as associated data: an
envelope that is moved to another object does not open. What lies on disk is `sealing.py`. ETags of SSE-KMS and SSE-C
objects are no MD5 of the data, as in AWS. KMS keys are the cloud's own: the keyring makes each of an account's when it is
first named. Two layers (aws:kms:dsse) answer 501. Source: "Protecting data with server-side encryption", S3 user guide.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eucapy.aws.errors import InvalidArgument, InvalidRequest, NotImplementedS3
from eucapy.errors import InternalError
from eucapy.walrus import errors, keyring, sealing
from eucapy.walrus.keyring import UnknownKey
from eucapy.walrus.sealing import Tampered
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Version

if TYPE_CHECKING:
    from eucapy.walrus.context import Call, Walrus

log = logging.getLogger(__name__)

S3, KMS, DSSE, CUSTOMER = "AES256", "aws:kms", "aws:kms:dsse", "SSE-C"
_HEADER = "x-amz-server-side-encryption"
_CUSTOMER = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5")
_OTHERS = ("ServerSideEncryption", "SSEKMSKeyId", "SSEKMSEncryptionContext")
_WITH_CUSTOMER = "Requests specifying Server Side Encryption with Customer provided keys must provide "


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `sse` column of a version or upload. `wrapped`: the data key; `master`: by which of the keyring's keys (SSE-C:
    none of them)."""

    kind: str
    wrapped: bytes
    master: str = ""
    kms: str | None = None
    context: str | None = None
    bucket_key: bool | None = None


class Default(msgspec.Struct, frozen=True, omit_defaults=True):
    """A bucket's `encryption` column. `kms` None: the account's own key of S3."""

    kind: str = S3
    kms: str | None = None
    bucket_key: bool | None = None


class CustomerKey(msgspec.Struct, frozen=True):
    """What SSE-C brings. `md5` as it was sent, in base64."""

    secret: bytes
    md5: str


class Wanted(msgspec.Struct, frozen=True):
    """How a write is to be encrypted."""

    kind: str
    kms: str | None = None
    context: str | None = None
    bucket_key: bool | None = None
    customer: CustomerKey | None = None


class Sealed(msgspec.Struct, frozen=True):
    """The encryption of one object that is being written."""

    wanted: Wanted
    data_key: bytes

    def etag(self, md5: str) -> str:
        return md5 if self.wanted.kind == S3 else opaque_etag(self.data_key, md5)


_decode = msgspec.json.Decoder(Envelope).decode


def load(document: str) -> Envelope:
    return _decode(document)


@lru_cache(maxsize=64)
def default_of(document: str) -> Default | None:
    return msgspec.json.decode(document, type=Default) if document else None


def dump_default(default: Default) -> str:
    return msgspec.json.encode(default).decode()


def opaque_etag(data_key: bytes, md5: str) -> str:
    """Looks like an MD5, tells nothing of the data, and is the same for the same data under the same key."""
    return hmac.digest(data_key, b"etag" + md5.encode(), "sha256")[:16].hex()


# --- what a request says ----------------------------------------------------------------------------------------------


def asked(p: Mapping[str, Any]) -> Wanted | None:
    """How the headers of a write want it encrypted; None where they say nothing. Raises InvalidArgument, NotImplemented."""
    customer = customer_key(p)
    kind = p.get("ServerSideEncryption")
    if customer is not None:
        if kind is not None:
            raise _invalid(
                "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
                _HEADER,
                kind,
            )
        return Wanted(CUSTOMER, customer=customer)
    kms, context = p.get("SSEKMSKeyId"), p.get("SSEKMSEncryptionContext")
    if kind is None and kms is None and context is None:
        return None
    if kind == DSSE:
        raise NotImplementedS3(fields={"Header": _HEADER})
    if kind not in (None, S3, KMS):
        raise _invalid("The encryption method specified is not supported", _HEADER, kind)
    if kind != KMS and (kms is not None or context is not None):
        raise _invalid(
            "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms",
            _HEADER,
            kind or "null",
        )
    return Wanted(str(kind), kms, _checked_context(context), p.get("BucketKeyEnabled") if kind == KMS else None)


def _invalid(message: str, name: str, value: Any) -> InvalidArgument:
    return InvalidArgument(message, fields={"ArgumentName": name} | ({} if value is None else {"ArgumentValue": value}))


def _checked_context(context: str | None) -> str | None:
    if context is None:
        return None
    try:
        pairs = json.loads(base64.b64decode(context, validate=True))
        fits = isinstance(pairs, dict) and all(isinstance(value, str) for value in pairs.values())
    except (ValueError, binascii.Error):
        fits = False
    if not fits:
        raise _invalid(
            "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which "
            "represents a string-string map",
            f"{_HEADER}-context",
            context,
        )
    return context


def customer_key(p: Mapping[str, Any], before: str = "") -> CustomerKey | None:
    """The key of SSE-C; `before` is CopySource for that of a copy's source. Raises InvalidArgument."""
    algorithm, key, md5 = (p.get(before + name) for name in _CUSTOMER)
    if algorithm is None and key is None and md5 is None:
        return None
    if algorithm is None:
        raise _invalid(f"{_WITH_CUSTOMER}a valid encryption algorithm.", _HEADER, None)
    if algorithm != S3:
        raise errors.InvalidEncryptionAlgorithmError(fields={"ArgumentName": _HEADER, "ArgumentValue": algorithm})
    if key is None:
        raise _invalid(f"{_WITH_CUSTOMER}an appropriate secret key.", _HEADER, None)
    if md5 is None:
        raise _invalid(f"{_WITH_CUSTOMER}the client calculated MD5 of the secret key.", _HEADER, None)
    try:
        secret = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != 32:
        raise _invalid("The secret key was invalid for the specified algorithm.", _HEADER, None)
    if base64.b64encode(hashlib.md5(secret, usedforsecurity=False).digest()).decode() != md5:
        raise _invalid("The calculated MD5 hash of the key did not match the hash that was provided.", _HEADER, None)
    return CustomerKey(secret, md5)


def refuse_on_read(call: Call) -> None:
    """How an object is encrypted is not for its reader to say. Raises InvalidArgument."""
    said = call.incoming.headers.get(_HEADER)
    if said is not None:
        raise _invalid("x-amz-server-side-encryption header is not supported for this operation.", _HEADER, said)


# --- writing ----------------------------------------------------------------------------------------------------------


def begin(bucket: Bucket, wanted: Wanted | None, data_key: bytes | None = None) -> Sealed | None:
    """The encryption of an object that is written now: as asked for, else as the bucket does; None for none."""
    if wanted is None:
        if not bucket.encryption:
            return None
        default = default_of(bucket.encryption)
        assert default is not None
        wanted = Wanted(default.kind, default.kms, None, default.bucket_key)
    elif wanted.kind == KMS and wanted.bucket_key is None and bucket.encryption:
        default = default_of(bucket.encryption)
        if default is not None and default.kind == KMS:  # a write that does not say takes its bucket's
            wanted = msgspec.structs.replace(wanted, bucket_key=default.bucket_key)
    return Sealed(wanted, data_key or sealing.new_data_key())


def envelope(walrus: Walrus, bucket: Bucket, key: bytes, sealed: Sealed) -> str:
    """The `sse` document of the object."""
    wanted = sealed.wanted
    bound_to = _bound_to(bucket, key)
    if wanted.customer is not None:
        nonce = sealing.new_data_key()[: keyring.NONCE_BYTES]
        wrapped = nonce + AESGCM(wanted.customer.secret).encrypt(nonce, sealed.data_key, bound_to)
        return msgspec.json.encode(Envelope(CUSTOMER, wrapped)).decode()
    kms = (wanted.kms or default_key(walrus, bucket)) if wanted.kind == KMS else None
    purpose = _purpose(bucket, wanted.kind, kms, wanted.context)
    master, wrapped = walrus.keyring.wrap(purpose, sealed.data_key, bound_to)
    return msgspec.json.encode(Envelope(wanted.kind, wrapped, master, kms, wanted.context, wanted.bucket_key)).decode()


def default_key(walrus: Walrus, bucket: Bucket) -> str:
    """The key of S3 in the bucket's account, `aws/s3`."""
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"aws/s3/{bucket.account}")
    return f"arn:aws:kms:{walrus.region}:{bucket.account}:key/{name}"


def _bound_to(bucket: Bucket, key: bytes) -> bytes:
    return b"%d/" % bucket.id + key


def _purpose(bucket: Bucket, kind: str, kms: str | None, context: str | None) -> str:
    if kind == S3:
        return "sse-s3"
    return f"kms {bucket.account} {kms} {context or ''}"


# --- reading ----------------------------------------------------------------------------------------------------------


def open_version(call: Call, bucket: Bucket, version: Version, p: Mapping[str, Any], before: str = "") -> bytes | None:
    """The data key of a version, None where it is not encrypted; `p` brings what SSE-C needs.

    Raises InvalidRequest, InvalidArgument, InternalError.
    """
    if version.sse is None:
        if any(p.get(before + name) is not None for name in _CUSTOMER):
            customer_key(p, before)
            raise InvalidRequest("The encryption parameters are not applicable to this object.")
        return None
    said = load(version.sse)
    if said.kind == CUSTOMER:
        customer = customer_key(p, before)
        if customer is None:
            raise InvalidRequest(
                "The object was stored using a form of Server Side Encryption. "
                "The correct parameters must be provided to retrieve the object."
            )
        return _unwrap_customer(said, customer, bucket, version.key)
    if customer_key(p, before) is not None:
        raise InvalidRequest("The encryption parameters are not applicable to this object.")
    if said.kind == KMS and not call.mechanism.startswith("v4"):
        raise InvalidArgument(
            "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.",
            fields={"ArgumentName": "Authorization", "ArgumentValue": "null"},
        )
    return open_stored(call.walrus, bucket, version.key, said)


def check_reader(call: Call, bucket: Bucket, version: Version, p: Mapping[str, Any]) -> None:
    """What HEAD asks: that who brings a customer's key brings the right one, and brings one where it is needed."""
    if version.sse is None or load(version.sse).kind == CUSTOMER or p.get("SSECustomerKey") is not None:
        open_version(call, bucket, version, p)


_PARTS_PLAIN = (
    "The multipart upload initiate did not request encryption. "
    "Please resend the request without sending encryption parameters."
)
_PARTS_ENCRYPTED = (
    "The multipart upload initiate requested encryption. "
    "Subsequent part requests must include the appropriate encryption parameters."
)


def open_upload(call: Call, bucket: Bucket, key: bytes, document: str | None, p: Mapping[str, Any]) -> Sealed | None:
    """The encryption of an upload, for one of its parts. Raises InvalidRequest, InvalidArgument, InternalError."""
    customer = customer_key(p)
    if document is None or (said := load(document)).kind != CUSTOMER:
        if customer is not None:
            raise InvalidRequest(_PARTS_ENCRYPTED if document is not None else _PARTS_PLAIN)
        return of_upload(call.walrus, bucket, key, document)
    if customer is None:
        raise InvalidRequest(_PARTS_ENCRYPTED)
    try:
        data_key = _unwrap_customer(said, customer, bucket, key)
    except InvalidRequest:
        raise InvalidRequest("The provided encryption parameters did not match the ones used originally.") from None
    return Sealed(Wanted(CUSTOMER, customer=customer), data_key)


def of_upload(walrus: Walrus, bucket: Bucket, key: bytes, document: str | None) -> Sealed | None:
    """The encryption of an upload that the store itself can open. Raises InternalError; InvalidRequest for SSE-C."""
    if document is None:
        return None
    said = load(document)
    wanted = Wanted(said.kind, said.kms, said.context, said.bucket_key)
    return Sealed(wanted, open_stored(walrus, bucket, key, said))


def check_completer(call: Call, bucket: Bucket, key: bytes, document: str, p: Mapping[str, Any]) -> None:
    """That who completes an SSE-C upload brings its key: AWS wants that of uploads with a checksum, which it then computes
    over the parts. Raises InvalidRequest, InvalidArgument."""
    if load(document).kind == CUSTOMER:
        open_upload(call, bucket, key, document, p)


def open_stored(walrus: Walrus, bucket: Bucket, key: bytes, said: Envelope) -> bytes:
    """The data key of what the store itself can open. Raises InternalError; InvalidRequest for SSE-C."""
    if said.kind == CUSTOMER:
        raise InvalidRequest("The object was stored with a customer's key.")
    try:
        purpose = _purpose(bucket, said.kind, said.kms, said.context)
        return walrus.keyring.unwrap(said.master, purpose, said.wrapped, _bound_to(bucket, key))
    except (UnknownKey, Tampered) as error:
        log.error("an object's key does not open", extra={"data": {"bucket": bucket.name, "reason": str(error)}})
        raise InternalError from error


def wrap_anew(walrus: Walrus, bucket: Bucket, key: bytes, said: Envelope) -> str:
    """The same data key, wrapped by the newest master key. Raises InternalError."""
    data_key = open_stored(walrus, bucket, key, said)
    purpose = _purpose(bucket, said.kind, said.kms, said.context)
    master, wrapped = walrus.keyring.wrap(purpose, data_key, _bound_to(bucket, key))
    return msgspec.json.encode(msgspec.structs.replace(said, master=master, wrapped=wrapped)).decode()


def _unwrap_customer(said: Envelope, customer: CustomerKey, bucket: Bucket, key: bytes) -> bytes:
    try:
        return keyring.unwrap_with(AESGCM(customer.secret), said.wrapped, _bound_to(bucket, key))
    except Tampered:
        # AWS answers 403 with this text; ceph/s3-tests, the floor here, wants a 400.
        raise InvalidRequest(f"{_WITH_CUSTOMER}the correct secret key.") from None


def members(document: str, p: Mapping[str, Any], *, context: bool = False) -> dict[str, Any]:
    """What an answer says of the encryption; `p` are the parameters of the request that brought the customer's key."""
    said = load(document)
    if said.kind == CUSTOMER:
        return {"SSECustomerAlgorithm": S3, "SSECustomerKeyMD5": p.get("SSECustomerKeyMD5")}
    answer: dict[str, Any] = {"ServerSideEncryption": said.kind}
    if said.kms is not None:
        answer["SSEKMSKeyId"] = said.kms
    if said.bucket_key and said.kind == KMS:
        answer["BucketKeyEnabled"] = True
    if context and said.context is not None:
        answer["SSEKMSEncryptionContext"] = said.context
    return answer
