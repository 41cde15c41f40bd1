#!/usr/bin/python3
"""boto.py ENDPOINT BUCKET COUNT BYTES THREADS: the same as bare_put, by boto3
and threads.

Credentials and region are in the environment (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION).  Keys are boto/0, boto/1, ...  Prints what
bare_put does.
"""
import json
import os
import sys
import threading
import time

import boto3
from botocore.config import Config

endpoint, bucket, count, size, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
options = {"max_pool_connections": threads, "s3": {"addressing_style": "path", "payload_signing_enabled": True},
           "retries": {"max_attempts": 0}}
try:
    # later ones would compute another checksum beside the signed one
    config = Config(request_checksum_calculation="when_required", response_checksum_validation="when_required", **options)
except TypeError:
    config = Config(**options)
client = boto3.client("s3", endpoint_url=endpoint, region_name=os.environ.get("AWS_REGION", "us-east-1"),
                      config=config)
numbers = iter(range(count))
lock = threading.Lock()
failed = []


def work():
    content = bytearray(os.urandom(size))
    while True:
        with lock:
            number = next(numbers, None)
        if number is None:
            return
        content[:4] = number.to_bytes(4, "little")[:len(content)]
        try:
            client.put_object(Bucket=bucket, Key="boto/%d" % number, Body=bytes(content), ContentType="application/octet-stream")
        except Exception as error:      # whatever boto3 has: it is counted
            failed.append(error)


workers = [threading.Thread(target=work) for _ in range(threads)]
start, cpu = time.monotonic(), time.process_time()
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
spent, cpu = time.monotonic() - start, time.process_time() - cpu
if failed:
    print("boto.py: %s" % failed[0], file=sys.stderr)
print(json.dumps({"objects": count - len(failed), "failed": len(failed), "seconds": round(spent, 3),
                  "rate": round(count / spent, 1), "cpu": round(1000 * cpu / max(count, 1), 4)}))
sys.exit(1 if failed else 0)
