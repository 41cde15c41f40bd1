#!/usr/bin/python3
"""test/s3/faults.py [--port PORT] [--bucket NAME ...]: an S3 server that fails
as it is told.

On 127.0.0.1, in memory, without a look at signatures.  It prints "ready PORT"
and ends with its parent.  The bucket is the path's first part, or the first
label of BUCKET.localhost.

What it does when nothing is to go wrong: PUT, GET (and ranges), HEAD, DELETE,
ListObjectsV2 by pages, multipart uploads, If-None-Match: *, and it refuses a
body that is not what x-amz-content-sha256 or Content-MD5 say.

Control (JSON):

	POST /_control				{"rules": [...], "page": n}: adds rules; items a page
	GET /_control				the rules, with how often each was used ("used")
	DELETE /_control			forgets the rules
	GET /_control/requests		what came, in the order of arrival
	DELETE /_control/requests	forgets that
	GET /_control/objects		"BUCKET/KEY": bytes, sha256, headers
	DELETE /_control/objects	forgets them (the buckets stay)

A rule: "fault", and which requests it is for: "method", "key" (a regular
expression to be found in the key; a list's key is its prefix), "operation" (put
get head delete list begin part complete abort), "skip" and "count" (of those
that match; all).  The first rule that matches is taken.  Faults:

	error			answers "status", "code", "message", "headers", "body"; the
					names in ERRORS are short for some.  "early": before the body
					is read
	hang			reads the request, and never answers
	hang_reading	does not even read the body
	reset_reading	resets the connection when "after" bytes of the body have come
	reset_sending	does what is asked, and resets in the middle of the answer
	close			does what is asked, and closes without an answer
	truncated		the answer's XML ends in its middle; an error 500 ("status") where
					there would be none
	garbage			the same with what is no XML
	no_http			what is no HTTP
	drip			the answer byte by byte, "delay" seconds between (0.02)
	slow_read		reads "rate" bytes a second (100000)
	no_continue		no 100 for an Expect: 100-continue
	error_in_200	an <Error> with a status of 200
	huge			an error ("status", 500) with a body of "bytes" (100 million)
	echo			SignatureDoesNotMatch that repeats the Authorization and the
					token, as AWS does and worse
"""
import argparse
import base64
import collections
import ctypes
import hashlib
import json
import os
import re
import select
import signal
import socket
import struct
import sys
import threading
import time
import urllib.parse
from email.utils import formatdate
from xml.etree import ElementTree
from xml.sax.saxutils import escape

ERRORS = {
    "internal_error": (500, "InternalError"),
    "slow_down": (503, "SlowDown"),
    "too_many": (429, "TooManyRequests"),
    "access_denied": (403, "AccessDenied"),
    "signature": (403, "SignatureDoesNotMatch"),
    "unknown_key": (403, "InvalidAccessKeyId"),
    "clock": (403, "RequestTimeTooSkewed"),
    "no_bucket": (404, "NoSuchBucket"),
    "conflict": (409, "ConditionalRequestConflict"),
    "precondition": (412, "PreconditionFailed"),
    "bad_request": (400, "InvalidArgument"),
    "wrong_region": (400, "AuthorizationHeaderMalformed"),
}
FAULTS = set(ERRORS) | set("""error hang hang_reading reset_reading reset_sending close truncated garbage no_http drip
    slow_read no_continue error_in_200 huge echo""".split())
REASONS = {200: "OK", 204: "No Content", 206: "Partial Content", 304: "Not Modified", 400: "Bad Request", 403: "Forbidden",
           404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 411: "Length Required", 412: "Precondition Failed",
           416: "Range Not Satisfiable", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}
SECRET_HEADERS = ("authorization", "x-amz-security-token")

lock = threading.RLock()
buckets = {}                # name: {key: Object}
uploads = {}                # id: (bucket, key, headers, {number: bytes})
rules = []
requests = collections.deque(maxlen=200000)
settings = {"page": 1000}

Object = collections.namedtuple("Object", "content sha256 etag headers modified")
Answer = collections.namedtuple("Answer", "status headers body")


class Gone(Exception):
    """The client has left, or has been left."""


# ---------------------------------------------------------------- connections

class Connection:
    numbers = iter(range(1, sys.maxsize))

    def __init__(self, sock):
        self.socket = sock
        self.number = next(self.numbers)
        self.buffer = b""

    def more(self, most=1 << 16):
        try:
            piece = self.socket.recv(most)
        except OSError:
            raise Gone
        if not piece:
            raise Gone
        return piece

    def line(self):
        while b"\n" not in self.buffer:
            if len(self.buffer) > 1 << 16:
                raise Gone
            self.buffer += self.more()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def exactly(self, length, rate=None, limit=None):
        """So many bytes of a body; no more than limit are waited for."""
        pieces, have = [], 0
        wanted = length if limit is None else min(length, limit)
        while have < wanted:
            if self.buffer:
                piece, self.buffer = self.buffer[:wanted - have], self.buffer[wanted - have:]
            else:
                piece = self.more(min(1 << 20 if rate is None else max(1, rate // 20), wanted - have))
            if rate is not None:
                time.sleep(len(piece) / rate)
            pieces.append(piece)
            have += len(piece)
        return b"".join(pieces)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            raise Gone

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone

    def hang(self, read):
        """Until the client has had enough."""
        while True:
            if read:
                self.more()
            else:
                # an unread body hides the end of the stream but not a reset
                poll = select.poll()
                poll.register(self.socket, select.POLLRDHUP)
                if poll.poll(1000):
                    raise Gone


class Request:
    """What a client asks, and what becomes of it."""

    def __init__(self, connection):
        self.connection = connection
        line = connection.line().decode("latin-1")
        self.began = time.time()
        try:
            self.method, target, _ = line.split(" ", 2)
        except ValueError:
            raise Gone
        self.headers = {}
        while True:
            line = connection.line().decode("latin-1")
            if not line:
                break
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        path, _, query = target.partition("?")
        self.path = path
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        path = path.lstrip("/") if path.startswith("//") else path[1:]
        host = self.headers.get("host", "").split(":")[0]
        if host.endswith(".localhost"):
            path = host[:-len(".localhost")] + "/" + path
        bucket, _, key = path.partition("/")
        self.bucket, self.key = urllib.parse.unquote(bucket), urllib.parse.unquote(key)
        self.body = b""
        self.received = 0
        self.noted = False
        self.operation = self.find_operation()
        self.rule = None

    def find_operation(self):
        if not self.key:
            if self.method == "GET":
                return "list"
            return {"PUT": "make_bucket", "HEAD": "head_bucket", "DELETE": "drop_bucket"}.get(self.method, "?")
        if "uploadId" in self.query:
            return {"PUT": "part", "POST": "complete", "DELETE": "abort"}.get(self.method, "?")
        if self.method == "POST":
            return "begin" if "uploads" in self.query else "?"
        return {"PUT": "put", "GET": "get", "HEAD": "head", "DELETE": "delete"}.get(self.method, "?")

    def read_body(self, rate=None, limit=None, answer_expect=True):
        if answer_expect and self.headers.get("expect", "").lower() == "100-continue":
            self.connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            self.body = self.chunks(self.connection.line, lambda n: self.connection.exactly(n, rate))
        else:
            try:
                length = int(self.headers.get("content-length", "0"))
            except ValueError:
                raise Gone
            self.body = self.connection.exactly(length, rate, limit)
        self.received = len(self.body)
        if "aws-chunked" in self.headers.get("content-encoding", ""):
            rest = [self.body]

            def line():
                first, rest[0] = rest[0].split(b"\r\n", 1)
                return first

            def exactly(length):
                first, rest[0] = rest[0][:length], rest[0][length:]
                return first
            self.body = self.chunks(line, exactly)

    @staticmethod
    def chunks(line, exactly):
        pieces = []
        try:
            while True:
                length = int(line().split(b";")[0], 16)
                if not length:
                    while line():       # trailers
                        pass
                    return b"".join(pieces)
                pieces.append(exactly(length))
                line()
        except ValueError:
            raise Gone

    def note(self, status):
        self.noted = True
        with lock:
            requests.append({
                "began": self.began, "ended": time.time(), "connection": self.connection.number,
                "method": self.method, "operation": self.operation, "bucket": self.bucket,
                "key": self.subject(), "path": self.path, "query": self.query,
                "headers": {n: v for n, v in self.headers.items() if n not in SECRET_HEADERS},
                "signed": "authorization" in self.headers or "X-Amz-Signature" in self.query,
                "bytes": self.received, "sha256": hashlib.sha256(self.body).hexdigest(),
                "status": status, "fault": self.rule["fault"] if self.rule else None})

    def subject(self):
        return self.query.get("prefix", "") if self.operation == "list" else self.key

    def find_rule(self):
        with lock:
            for rule in rules:
                if ("method" in rule and rule["method"] != self.method
                        or "operation" in rule and rule["operation"] != self.operation
                        or "key" in rule and not re.search(rule["key"], self.subject())):
                    continue
                if rule.get("skip", 0) > 0:
                    rule["skip"] -= 1
                    continue
                if rule.get("count", 1) <= 0:
                    continue
                if "count" in rule:
                    rule["count"] -= 1
                rule["used"] += 1
                return rule
        return None


# ---------------------------------------------------------------- the S3 of it

def xml(text):
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + text).encode()


def error(status, code, message=None, more=""):
    return Answer(status, {"Content-Type": "application/xml"}, xml("<Error><Code>%s</Code><Message>%s</Message>%s<RequestId>1</RequestId></Error>" % (
        escape(code), escape(message or "told to say " + code), more)))


def kept_headers(headers):
    return {n: v for n, v in headers.items()
            if n in ("content-type", "cache-control", "content-disposition") or n.startswith("x-amz-meta-")}


def put(bucket, key, content, headers, etag=None):
    made = Object(content, hashlib.sha256(content).hexdigest(), etag or hashlib.md5(content).hexdigest(), headers, int(time.time()))
    buckets[bucket][key] = made
    return made


def serve(request):
    """Does what a request asks; with the lock."""
    operation, key = request.operation, request.key
    if operation == "make_bucket":
        buckets.setdefault(request.bucket, {})
        return Answer(200, {}, b"")
    if request.bucket not in buckets:
        return error(404, "NoSuchBucket", "the bucket %s does not exist" % request.bucket)
    objects = buckets[request.bucket]
    if operation in ("put", "part"):
        if "content-length" not in request.headers and "transfer-encoding" not in request.headers:
            return error(411, "MissingContentLength")
        said = request.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        if re.fullmatch("[0-9a-f]{64}", said) and said != hashlib.sha256(request.body).hexdigest():
            return error(400, "XAmzContentSHA256Mismatch")
        said = request.headers.get("content-md5")
        if said and base64.b64decode(said) != hashlib.md5(request.body).digest():
            return error(400, "BadDigest")
    if operation == "head_bucket":
        return Answer(200, {}, b"")
    if operation == "drop_bucket":
        del buckets[request.bucket]
        return Answer(204, {}, b"")
    if operation == "put":
        if request.headers.get("if-none-match") == "*" and key in objects:
            return error(412, "PreconditionFailed")
        made = put(request.bucket, key, request.body, kept_headers(request.headers))
        return Answer(200, {"ETag": '"%s"' % made.etag}, b"")
    if operation == "delete":
        objects.pop(key, None)
        return Answer(204, {}, b"")
    if operation in ("get", "head"):
        if key not in objects:
            return error(404, "NoSuchKey")
        found = objects[key]
        headers = dict(found.headers, ETag='"%s"' % found.etag, **{"Last-Modified": formatdate(found.modified, usegmt=True)})
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if span and operation == "get":
            first = int(span[1])
            last = min(int(span[2] or len(found.content)), len(found.content) - 1)
            if first > last:
                return error(416, "InvalidRange")
            headers["Content-Range"] = "bytes %d-%d/%d" % (first, last, len(found.content))
            return Answer(206, headers, found.content[first:last + 1])
        return Answer(200, headers, found.content)
    if operation == "list":
        return serve_list(request, objects)
    return serve_multipart(request)


def serve_list(request, objects):
    query = request.query
    prefix = query.get("prefix", "")
    after = query.get("start-after", "")
    if "continuation-token" in query:
        after = base64.urlsafe_b64decode(query["continuation-token"]).decode()
    keys = sorted((k for k in objects if k.startswith(prefix) and k.encode() > after.encode()), key=str.encode)
    page = keys[:min(settings["page"], int(query.get("max-keys", 1000)))]
    encode = urllib.parse.quote if query.get("encoding-type") == "url" else (lambda text: text)
    more = len(page) < len(keys)
    text = "<ListBucketResult><Name>%s</Name><Prefix>%s</Prefix><KeyCount>%d</KeyCount><IsTruncated>%s</IsTruncated>" % (
        escape(request.bucket), escape(encode(prefix)), len(page), "true" if more else "false")
    if "encoding-type" in query:
        text += "<EncodingType>url</EncodingType>"
    if more:
        text += "<NextContinuationToken>%s</NextContinuationToken>" % base64.urlsafe_b64encode(page[-1].encode()).decode()
    for key in page:
        found = objects[key]
        text += "<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag><Size>%d</Size></Contents>" % (
            escape(encode(key)), time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(found.modified)), found.etag, len(found.content))
    return Answer(200, {"Content-Type": "application/xml"}, xml(text + "</ListBucketResult>"))


def named_parts(body):
    """Numbers and tags in a CompleteMultipartUpload."""
    try:
        values = [{field.tag.rpartition("}")[2]: field.text or "" for field in part} for part in ElementTree.fromstring(body)]
        return [(int(part["PartNumber"]), part["ETag"].strip('"')) for part in values]
    except (ElementTree.ParseError, KeyError, ValueError):
        return []


def serve_multipart(request):
    if request.operation == "begin":
        number = hashlib.sha256(os.urandom(16)).hexdigest()[:32]
        uploads[number] = (request.bucket, request.key, kept_headers(request.headers), {})
        return Answer(200, {"Content-Type": "application/xml"}, xml(
            "<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>" % (
                escape(request.bucket), escape(request.key), number)))
    if request.operation not in ("part", "complete", "abort"):
        return error(405, "MethodNotAllowed")
    number = request.query["uploadId"]
    if number not in uploads or uploads[number][:2] != (request.bucket, request.key):
        return error(404, "NoSuchUpload")
    parts = uploads[number][3]
    if request.operation == "part":
        parts[int(request.query.get("partNumber", "0"))] = request.body
        return Answer(200, {"ETag": '"%s"' % hashlib.md5(request.body).hexdigest()}, b"")
    if request.operation == "abort":
        del uploads[number]
        return Answer(204, {}, b"")
    wanted = named_parts(request.body)
    if not wanted or any(n not in parts or hashlib.md5(parts[n]).hexdigest() != e for n, e in wanted):
        return error(400, "InvalidPart")
    if any(len(parts[n]) < 5 << 20 for n, _ in wanted[:-1]):
        return error(400, "EntityTooSmall")
    if request.headers.get("if-none-match") == "*" and request.key in buckets[request.bucket]:
        return error(412, "PreconditionFailed")
    etag = "%s-%d" % (hashlib.md5(b"".join(bytes.fromhex(e) for _, e in wanted)).hexdigest(), len(wanted))
    put(request.bucket, request.key, b"".join(parts[n] for n, _ in wanted), uploads[number][2], etag)
    del uploads[number]
    return Answer(200, {"Content-Type": "application/xml"}, xml(
        "<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>" % (
            escape(request.bucket), escape(request.key), etag)))


# ---------------------------------------------------------------- answers

def head_of(request, answer, length=None):
    lines = ["HTTP/1.1 %d %s" % (answer.status, REASONS.get(answer.status, "Status"))]
    headers = {"Date": formatdate(usegmt=True), "Server": "faults", "x-amz-request-id": "1"}
    headers.update(answer.headers)
    if answer.status != 204:
        headers["Content-Length"] = str(len(answer.body) if length is None else length)
    return "\r\n".join(lines + ["%s: %s" % pair for pair in headers.items()] + ["", ""]).encode("latin-1", "replace")


def whole(request, answer):
    return head_of(request, answer) + (b"" if request.method == "HEAD" or answer.status == 204 else answer.body)


def told_error(request, rule):
    status, code = ERRORS.get(rule["fault"], (500, "InternalError"))
    answer = error(rule.get("status", status), rule.get("code", code), rule.get("message"))
    if "body" in rule:
        answer = answer._replace(body=rule["body"].encode())
    return answer._replace(headers=dict(answer.headers, **rule.get("headers", {})))


def handle(connection):
    """One request; true if another may follow."""
    request = Request(connection)
    if request.path == "/_control" or request.path.startswith("/_control/"):
        request.read_body()
        connection.send(whole(request, control(request)))
        return True
    rule = request.rule = request.find_rule()
    fault = rule["fault"] if rule else None
    try:
        if fault:
            return handle_fault(connection, request, rule, fault)
        request.read_body()
        with lock:
            answer = serve(request)
        request.note(answer.status)
        connection.send(whole(request, answer))
        return request.headers.get("connection", "").lower() != "close"
    except Gone:
        if not request.noted:
            request.note(None)
        raise


def handle_fault(connection, request, rule, fault):
    if fault == "hang_reading":
        request.note(None)      # the client may be gone without our seeing it
        connection.hang(False)
    if fault == "reset_reading":
        length = int(request.headers.get("content-length", "0"))
        request.read_body(limit=rule.get("after", length // 2))
        connection.reset()
    if (fault in ERRORS or fault == "error") and rule.get("early"):
        answer = told_error(request, rule)
        request.note(answer.status)
        connection.send(whole(request, answer._replace(headers=dict(answer.headers, Connection="close"))))
        request.read_body(answer_expect=False)      # or else the client sees a reset and no answer
        return False

    request.read_body(rate=rule.get("rate", 100000) if fault == "slow_read" else None, answer_expect=fault != "no_continue")
    if fault in ERRORS or fault == "error":
        answer = told_error(request, rule)
    elif fault == "hang":
        request.note(None)      # now, not when the client has left
        connection.hang(True)
    elif fault == "no_http":
        request.note(None)
        connection.send(b"SSH-2.0-OpenSSH_9.2p1\r\n" + os.urandom(200))
        return False
    elif fault == "error_in_200":
        answer = error(500, "InternalError")._replace(status=200)
    elif fault == "huge":
        return huge(connection, request, rule)
    elif fault == "echo":
        said = " ".join(request.headers.get(name, "") for name in SECRET_HEADERS)
        answer = error(403, "SignatureDoesNotMatch", "The signature we calculated does not match: " + said,
                       "<StringToSign>%s</StringToSign><SignatureProvided>%s</SignatureProvided>" % (escape(said), escape(said)))
    elif fault in ("truncated", "garbage"):
        with lock:
            answer = serve(request) if request.operation == "list" else error(rule.get("status", 500), "InternalError")
        if fault == "truncated":
            answer = answer._replace(body=answer.body[:len(answer.body) * 2 // 3])
        else:
            answer = answer._replace(body=b"<?xml \xff\xfe\0<<>&&;]]>" + os.urandom(500) + b"<Code>")
    else:
        with lock:
            answer = serve(request)

    request.note(answer.status)
    if fault == "close":
        return False
    if fault == "reset_sending":
        # a body that was promised is not there, even where there would be none
        length = max(len(answer.body), 1000)
        connection.send(head_of(request, answer._replace(status=200) if answer.status == 204 else answer, length) + answer.body[:length // 2])
        time.sleep(0.05)        # else the reset overtakes it
        connection.reset()
    if fault == "drip":
        for byte in whole(request, answer):
            connection.send(bytes((byte,)))
            time.sleep(rule.get("delay", 0.02))
        return True
    connection.send(whole(request, answer))
    return True


def huge(connection, request, rule):
    answer = error(rule.get("status", 500), "InternalError", "x")
    first, rest = answer.body.split(b"<Message>x", 1)
    first += b"<Message>"
    length = rule.get("bytes", 100000000)
    request.note(answer.status)
    connection.send(head_of(request, answer, len(first) + length + len(rest)) + first)
    while length:
        piece = min(length, 1 << 20)
        connection.send(b"x" * piece)
        length -= piece
    connection.send(rest)
    return True


# ---------------------------------------------------------------- control

def control(request):
    what = request.path[len("/_control"):].lstrip("/")
    method = request.method
    with lock:
        if what == "" and method == "POST":
            try:
                told = json.loads(request.body)
                for rule in told.get("rules", []):
                    if rule["fault"] not in FAULTS:
                        raise ValueError("no such fault: %s" % rule["fault"])
                    re.compile(rule.get("key", ""))
                for rule in told.get("rules", []):
                    rules.append(dict(rule, used=0))
                settings.update({k: v for k, v in told.items() if k in settings})
            except (ValueError, KeyError, re.error) as e:
                return Answer(400, {}, str(e).encode())
            said = {"rules": len(rules)}
        elif method == "DELETE" and what in ("", "requests", "objects"):
            if what == "objects":
                for objects in buckets.values():
                    objects.clear()
                uploads.clear()
            else:
                (requests if what else rules).clear()
            said = {}
        elif method == "GET" and what == "":
            said = rules
        elif method == "GET" and what == "requests":
            said = list(requests)
        elif method == "GET" and what == "objects":
            said = {"%s/%s" % (b, k): {"bytes": len(o.content), "sha256": o.sha256, "etag": o.etag, "headers": o.headers}
                    for b, objects in buckets.items() for k, o in objects.items()}
        else:
            return Answer(404, {}, b"no such control")
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(said).encode())


def talk(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = Connection(sock)
    try:
        while handle(connection):
            pass
    except Gone:
        pass
    finally:
        sock.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bucket", action="append", default=[])
    options = parser.parse_args()
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit(1)
    for bucket in options.bucket:
        buckets[bucket] = {}
    listener = socket.create_server(("127.0.0.1", options.port), backlog=128)
    print("ready %d" % listener.getsockname()[1], flush=True)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=talk, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    main()
