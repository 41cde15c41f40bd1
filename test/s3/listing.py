#!/usr/bin/python3
"""test/s3/listing.py ENDPOINT BUCKET [make | put KEY HEX | delete KEY]: what a
bucket holds, by boto3.

A line an object: the SHA-256 of what is got, a tab, the bytes, a tab, the key
(as JSON).  With "make", makes the bucket, with "put" and "delete" changes an
object, and prints nothing.  Credentials are in the environment.
"""
import hashlib
import json
import sys

import boto3
from botocore.config import Config

client = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1", config=Config(s3={"addressing_style": "path"}))
bucket = sys.argv[2]
if sys.argv[3:] == ["make"]:
    client.create_bucket(Bucket=bucket)
    sys.exit()
if sys.argv[3:4] == ["put"]:
    client.put_object(Bucket=bucket, Key=sys.argv[4], Body=bytes.fromhex(sys.argv[5]))
    sys.exit()
if sys.argv[3:4] == ["delete"]:
    client.delete_object(Bucket=bucket, Key=sys.argv[4])
    sys.exit()
for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
    for item in page.get("Contents", []):
        content = client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        print("%s\t%d\t%s" % (hashlib.sha256(content).hexdigest(), len(content), json.dumps(item["Key"])))
