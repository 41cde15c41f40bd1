#!/usr/bin/env python3
"""test/client/courier.py PROGRAM file FOLDER | s3 ENDPOINT BUCKET | faults: the courier
by its wire (src/helper/courier_wire.h), without a PostgreSQL.

It plays the parent: serves what is wanted, takes what comes, and checks what it
gets.  With "faults" it plays a store as well, one that does what none should.
The S3 server's keys are S3_ACCESS_KEY and S3_SECRET_KEY, or those of test/s3/rgw.
It makes the bucket itself.
"""
import hashlib
import mmap
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time

MAGIC, VERSION = 0x4d534352, 1
SLOT, SLOTS = 256 * 1024, 256
(HELLO, STORE, FORGET, BEGIN, FILLED, TAKEN, WANT, DATA, RESULT, GOODBYE) = range(1, 11)
(PUT, GET, HEAD, DELETE, LIST) = range(1, 6)
STATUS = 'OK ABSENT EXISTS RETRY REFUSED CHANGED UNREACHABLE BUSY MISCONFIGURED CANCELLED INTERNAL'.split()
FRAME = struct.Struct('<8IiiIIQQq')
IF_NONE_MATCH = 1
assert FRAME.size == 72


def fields(pairs):
    return b''.join(n.encode() + b'\0' + (v if isinstance(v, bytes) else str(v).encode()) + b'\0' for n, v in pairs)


def read_fields(text):
    parts = text.split(b'\0')
    assert parts.pop() == b''
    return [(parts[i].decode(), parts[i + 1].decode()) for i in range(0, len(parts), 2)]


class Gone(Exception):
    pass


class Transfer:
    def __init__(self, operation, content=None):
        self.operation, self.content = operation, content
        self.got = bytearray()
        self.result = None
        self.wants = []


class Courier:
    def __init__(self, program, idle=60):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arena = os.memfd_create('arena')
        os.ftruncate(arena, SLOT * SLOTS)
        self.arena = mmap.mmap(arena, SLOT * SLOTS)
        here, there = os.dup(theirs.fileno()), os.dup(arena)

        def arrange():
            a, b = os.dup(here), os.dup(there)
            os.dup2(a, 3)
            os.dup2(b, 4)
            os.closerange(5, 256)
        self.process = subprocess.Popen([program, str(os.getpid()), str(idle)], env={}, close_fds=False, preexec_fn=arrange,
                                        stdin=subprocess.DEVNULL)
        for fd in (here, there, arena):
            os.close(fd)
        theirs.close()
        self.socket = ours
        self.transfers, self.number, self.stores = {}, 0, 0
        self.hold = False
        self.send(HELLO)
        assert self.receive()[0]['kind'] == HELLO

    def close(self):
        self.socket.close()
        return self.process.wait(10)

    def send(self, kind, transfer=0, store=0, operation=0, flags=0, slot=0, offset=0, length=0, text=b''):
        self.socket.send(FRAME.pack(MAGIC, VERSION, kind, transfer, store, operation, 0, flags, 0, 0, slot, len(text),
                                    offset, length, 0) + text)

    def receive(self, timeout=120):
        if not select.select([self.socket], [], [], timeout)[0]:
            raise TimeoutError('the courier says nothing')
        try:
            packet = self.socket.recv(65536)
        except ConnectionResetError:
            packet = b''
        if not packet:
            raise Gone()
        names = 'magic version kind transfer store operation status flags http_status retry_after slot text_length offset length time'
        frame = dict(zip(names.split(), FRAME.unpack(packet[:72])))
        assert frame['magic'] == MAGIC and frame['version'] == VERSION and frame['text_length'] == len(packet) - 72
        return frame, packet[72:]

    def store(self, **options):
        self.stores += 1
        options = {'connect_timeout': 2000, 'transfer_timeout': 60000, 'stall_timeout': 20000, **options}
        self.send(STORE, store=self.stores, text=fields(options.items()))
        return self.stores

    def begin(self, store, operation, key, content=None, flags=0, **extra):
        self.number += 1
        transfer = Transfer(operation, content)
        pairs = [('key', key)]
        if operation == PUT:
            pairs.append(('sha256', extra.pop('sha256', hashlib.sha256(content).hexdigest())))
        pairs += [(n.replace('meta_', 'meta-'), v) for n, v in extra.items()]
        self.transfers[self.number] = transfer
        transfer.number = self.number
        self.send(BEGIN, transfer=self.number, store=store, operation=operation, flags=flags,
                  length=len(content) if operation == PUT else 0, text=fields(pairs))
        return transfer

    def answer(self, transfer, frame):
        offset, length, slot = frame['offset'], frame['length'], frame['slot']
        assert 0 < length <= SLOT and offset + length <= len(transfer.content)
        self.arena[slot * SLOT:slot * SLOT + length] = transfer.content[offset:offset + length]
        self.send(FILLED, transfer=transfer.number, slot=slot, offset=offset, length=length)

    def event(self, timeout=120):
        frame, text = self.receive(timeout)
        if frame['kind'] == GOODBYE:
            raise Gone('goodbye')
        transfer = self.transfers[frame['transfer']]
        assert transfer.result is None
        if frame['kind'] == WANT:
            assert transfer.operation == PUT
            transfer.wants.append((frame['offset'], frame['length']))
            if not self.hold:
                self.answer(transfer, frame)
        elif frame['kind'] == DATA:
            assert transfer.operation in (GET, LIST) and frame['offset'] == len(transfer.got)
            slot, length = frame['slot'], frame['length']
            transfer.got += self.arena[slot * SLOT:slot * SLOT + length]
            self.send(TAKEN, transfer=transfer.number, slot=slot)
        elif frame['kind'] == RESULT:
            transfer.result = STATUS[frame['status']]
            transfer.frame = frame
            transfer.fields = dict(read_fields(text))
        else:
            raise AssertionError(frame)
        return frame

    def wait(self, *transfers):
        while any(t.result is None for t in transfers):
            self.event()
        return transfers[0] if len(transfers) == 1 else transfers

    def do(self, *arguments, **extra):
        return self.wait(self.begin(*arguments, **extra))


failed = 0


def check(good, what, detail=''):
    global failed
    if not good:
        failed += 1
    print(('ok' if good else 'NOT OK') + ': ' + what + ('' if good else f'  {detail}'), flush=True)
    return good


def told(transfer):
    return (transfer.result, transfer.frame['http_status'], transfer.fields)


def is_status(transfer, status, what, message=''):
    good = transfer.result == status and message in transfer.fields.get('message', '') + transfer.fields.get('hint', '')
    return check(good, what, told(transfer))


def items(transfer):
    pairs = read_fields(bytes(transfer.got))
    assert [n for n, _ in pairs] == ['key', 'bytes', 'etag', 'modified'] * (len(pairs) // 4)
    return [tuple(v for _, v in pairs[i:i + 4]) for i in range(0, len(pairs), 4)]


def content_of(length, seed=1):
    return random.Random(seed).randbytes(length)


SIZES = [0, 1, 65535, 65536, 65537, 262144, 1048576, 1048577, 5242879, 5242880, 5242881, 16777216]


def round_trips(courier, store, sizes=SIZES):
    for size in sizes:
        content = content_of(size)
        transfer = courier.do(store, PUT, f'size/{size}', content, content_type='image/png', cache_control='public, max-age=60',
                              meta_sha256='abc')
        is_status(transfer, 'OK', f'PUT of {size} bytes')
        etag = transfer.fields.get('etag')
        check(etag, 'it has an ETag')
        transfer = courier.do(store, GET, f'size/{size}')
        is_status(transfer, 'OK', f'GET of {size} bytes')
        check(bytes(transfer.got) == content and transfer.frame['length'] == size, 'the same bytes', len(transfer.got))
        check(transfer.fields.get('etag') == etag, 'the same ETag', told(transfer))
        transfer = courier.do(store, HEAD, f'size/{size}')
        is_status(transfer, 'OK', f'HEAD of {size} bytes')
        check(transfer.frame['length'] == size and abs(transfer.frame['time'] - time.time()) < 120, 'length and time',
              transfer.frame)
        yield transfer
        is_status(courier.do(store, DELETE, f'size/{size}'), 'OK', 'DELETE')
        is_status(courier.do(store, DELETE, f'size/{size}'), 'OK', 'DELETE of nothing')
        is_status(courier.do(store, GET, f'size/{size}'), 'ABSENT', 'GET of nothing')
        is_status(courier.do(store, HEAD, f'size/{size}'), 'ABSENT', 'HEAD of nothing')


def changed(courier, store, sizes):
    for size in sizes:
        content = content_of(size)
        is_status(courier.do(store, PUT, 'changed', content, sha256=hashlib.sha256(b'other').hexdigest()), 'CHANGED',
                  f'PUT of other bytes, {size}')
        is_status(courier.do(store, HEAD, 'changed'), 'ABSENT', 'nothing was stored')
        if size == 0:
            continue
        courier.hold = True
        transfer = courier.begin(store, PUT, 'changed', content)
        frame = courier.event()
        courier.hold = False
        courier.send(FILLED, transfer=transfer.number, slot=frame['slot'], offset=frame['offset'], length=0)
        is_status(courier.wait(transfer), 'CHANGED', 'PUT of what cannot be had')
        is_status(courier.do(store, HEAD, 'changed'), 'ABSENT', 'nothing was stored')


def many(courier, store, count, size, at_once=16):
    """Lots of PUTs at a time, and their rate."""
    content = content_of(size)
    digest = hashlib.sha256(content).hexdigest()
    begin = time.time()
    under_way, begun, results = [], 0, []
    while len(results) < count:
        while begun < count and len(under_way) < at_once:
            under_way.append(courier.begin(store, PUT, f'many/{begun:05}', content, sha256=digest))
            begun += 1
        courier.event()
        for transfer in [t for t in under_way if t.result is not None]:
            under_way.remove(transfer)
            results.append(transfer)
            del courier.transfers[transfer.number]
    check(all(t.result == 'OK' for t in results), f'{count} PUTs of {size} bytes, {count / (time.time() - begin):.0f}/s',
          [told(t) for t in results if t.result != 'OK'][:3])


def overdue(courier, options, timeout, content, answered):
    """A PUT that may take so many seconds, whose parent stops after so many slots."""
    store = courier.store(**options, transfer_timeout=timeout * 1000)
    courier.hold = True
    transfer = courier.begin(store, PUT, 'overdue', content)
    owed = []
    while answered > 0 or len(owed) < 4:
        frame = courier.event()
        if answered > 0:
            courier.answer(transfer, frame)
            answered -= 1
        else:
            owed.append(frame)
    check(not select.select([courier.socket], [], [], timeout + 2)[0], 'what is overdue waits for its slots')
    for frame in owed:
        courier.answer(transfer, frame)
    courier.hold = False
    is_status(courier.wait(transfer), 'RETRY', 'a PUT is overdue')
    is_status(courier.do(store, HEAD, 'overdue'), 'ABSENT', 'nothing was stored')


def violations(program):
    def broken(what, act):
        courier = Courier(program)
        act(courier)
        try:
            while True:
                courier.event(5)
        except (Gone, BrokenPipeError, ConnectionResetError):
            pass
        check(courier.process.wait(5) == 4, f'it ends at {what}', courier.process.returncode)

    broken('a short frame', lambda c: c.socket.send(b'x' * 71))
    broken('another magic', lambda c: c.socket.send(b'\0' * 72))
    broken('a frame of its own', lambda c: c.send(WANT))
    broken('a transfer to no store', lambda c: c.send(BEGIN, transfer=1, store=7, operation=GET, text=fields([('key', 'a')])))
    broken('text without an end', lambda c: c.send(STORE, store=1, text=b'type\0file'))
    broken('no UTF-8', lambda c: c.send(STORE, store=1, text=b'type\0\xff\0'))
    broken('a PUT without a hash', lambda c: (c.store(type='file', root='/'), c.send(
        BEGIN, transfer=1, store=1, operation=PUT, length=1, text=fields([('key', 'a')]))))
    broken('a slot that is not wanted', lambda c: (c.store(type='file', root='/tmp'), c.begin(1, PUT, 'a', b'x'), c.send(
        FILLED, transfer=1, slot=200, length=1)))
    broken('bytes that are not wanted', lambda c: (c.store(type='file', root='/tmp'), c.begin(1, PUT, 'a', b'x'), c.send(
        FILLED, transfer=1, slot=0, length=2)))
    broken('bytes of no transfer', lambda c: (c.store(type='file', root='/tmp'), c.send(FILLED, transfer=1, slot=0, length=1)))
    broken('too many transfers', lambda c: (c.store(type='file', root='/tmp'), setattr(c, 'hold', True), [
        c.begin(1, PUT, str(i), b'x') for i in range(65)]))


def life(program):
    courier = Courier(program, idle=1)
    begin = time.time()
    try:
        courier.event(10)
        check(False, 'it says goodbye')
    except Gone as gone:
        check(str(gone) == 'goodbye' and time.time() - begin > 0.9, 'it says goodbye when it is idle')
    check(courier.process.wait(5) == 0, 'and leaves')
    courier = Courier(program)
    courier.socket.close()
    check(courier.process.wait(5) == 0, 'it ends with its parent')


def test_file(program, folder):
    courier = Courier(program)
    store = courier.store(type='file', root=folder, prefix='media/')
    for transfer in round_trips(courier, store):
        pass
    check(os.listdir(folder) == ['.mediastore'] or sorted(os.listdir(folder)) == ['.mediastore', 'media'], 'empty folders are gone',
          os.listdir(folder))
    check(os.listdir(f'{folder}/.mediastore') == [], 'no temporary file is left')
    changed(courier, store, [0, 1, 300000, 5000000])
    overdue(courier, dict(type='file', root=folder, prefix='media/'), 1, content_of(3000000), 1)
    check(os.listdir(f'{folder}/.mediastore') == [], 'no temporary file is left')

    is_status(courier.do(store, PUT, 'a/b/c.jpg', b'abc'), 'OK', 'a PUT makes folders')
    path = f'{folder}/media/a/b/c.jpg'
    check(open(path, 'rb').read() == b'abc' and os.stat(path).st_mode & 0o777 == 0o644, 'it is a file')
    is_status(courier.do(store, PUT, 'a/b/c.jpg', b'abcd', flags=IF_NONE_MATCH), 'EXISTS', 'PUT if there is none')
    is_status(courier.do(store, PUT, 'a/b/d.jpg', b'abcd', flags=IF_NONE_MATCH), 'OK', 'PUT if there is none')
    is_status(courier.do(store, PUT, 'a/b', b'x'), 'REFUSED', 'a folder is no file')
    is_status(courier.do(store, PUT, 'a/b/c.jpg/d', b'x'), 'REFUSED', 'a file is no folder')
    is_status(courier.do(store, GET, 'a/b'), 'ABSENT', 'a folder is no object')
    for key in ('../x', 'a/../../x', '/x', 'a//b', './a', 'a\tb'):
        is_status(courier.do(store, PUT, key, b'x'), 'REFUSED', f'key {key!r}')
        is_status(courier.do(store, GET, key), 'REFUSED', f'key {key!r}')
    os.symlink('/etc', f'{folder}/media/link')
    os.symlink('/etc/passwd', f'{folder}/media/passwd')
    is_status(courier.do(store, GET, 'link/passwd'), 'ABSENT', 'no link is followed')
    is_status(courier.do(store, GET, 'passwd'), 'ABSENT', 'no link is followed')
    is_status(courier.do(store, PUT, 'link/x', b'x'), 'REFUSED', 'no link is followed')
    is_status(courier.do(store, PUT, 'passwd', b'x'), 'OK', 'a link is replaced')
    check(not os.path.islink(f'{folder}/media/passwd') and b'root' in open('/etc/passwd', 'rb').read(), 'not what it leads to')
    own = courier.store(type='file', root=folder)
    is_status(courier.do(own, PUT, '.mediastore/x', b'x'), 'REFUSED', "the driver's own folder")

    many(courier, store, 1500, 100)
    transfer = courier.do(store, LIST, '')
    is_status(transfer, 'OK', 'LIST')
    keys = [i[0] for i in items(transfer)]
    check(keys == sorted(keys, key=str.encode) and len(keys) == 1503 and 'many/00000' in keys and 'link/passwd' not in keys,
          'all keys in order', keys[:5])
    is_status(courier.do(store, PUT, 'many.txt', b'x'), 'OK', 'PUT')
    keys = [i[0] for i in items(courier.do(store, LIST, 'many'))]
    check(keys[0] == 'many.txt' and keys[1] == 'many/00000' and len(keys) == 1501, 'as S3 sorts them', keys[:3])
    check([i[0] for i in items(courier.do(store, LIST, 'many/0149'))] == [f'many/0149{i}' for i in range(10)], 'by a prefix')
    check(items(courier.do(store, LIST, 'nothing/here')) == [], 'a list of nothing')
    item = items(courier.do(store, LIST, 'a/b/c'))[0]
    head = courier.do(store, HEAD, 'a/b/c.jpg')
    check(item[0] == 'a/b/c.jpg' and item[1] == '3' and item[2] == head.fields['etag'] and int(item[3]) == head.frame['time'],
          'what it says of one', item)
    check(not any(k.startswith('.mediastore') for k, *_ in items(courier.do(own, LIST, ''))), "not the driver's own")

    # a list that goes through more slots than there are at a time
    deep = 'd' * 200 + '/' + 'e' * 200 + '/' + 'f' * 200
    os.makedirs(f'{folder}/media/{deep}')
    for i in range(4000):
        open(f'{folder}/media/{deep}/{i:05}', 'w').close()
    transfer = courier.do(store, LIST, 'd')
    check(len(items(transfer)) == 4000 and len(transfer.got) > 4 * SLOT, 'a long list', len(transfer.got))

    missing = courier.store(type='file', root=f'{folder}/missing')
    is_status(courier.do(missing, PUT, 'x', b'x'), 'MISCONFIGURED', 'a root that is missing')
    check(not os.path.exists(f'{folder}/missing'), 'it is not made')
    if os.path.exists('/dev/full'):
        small = os.environ.get('SMALL_FOLDER')
        if small:
            full = courier.store(type='file', root=small)
            is_status(courier.do(full, PUT, 'x', content_of(3000000)), 'BUSY', 'no space left')
    is_status(courier.do(courier.store(type='tape'), GET, 'x'), 'MISCONFIGURED', 'an unknown type of store')
    content = content_of(100000000)
    is_status(courier.do(store, PUT, 'large', content), 'OK', 'PUT of 100 MB')
    transfer = courier.do(store, GET, 'large')
    check(bytes(transfer.got) == content, 'GET of 100 MB')

    # leftovers of a killed one
    courier.hold = True
    courier.begin(store, PUT, 'killed', content)
    frame = courier.event()
    courier.answer(courier.transfers[frame['transfer']], frame)
    for _ in range(100):
        if os.listdir(f'{folder}/.mediastore'):
            break
        time.sleep(0.05)
    left = os.listdir(f'{folder}/.mediastore')
    check(len(left) == 1, 'a file that is not whole', left)
    courier.process.kill()
    courier.process.wait()
    os.utime(f'{folder}/.mediastore/{left[0]}', (1, 1))
    courier = Courier(program)
    store = courier.store(type='file', root=folder, prefix='media/')
    is_status(courier.do(store, PUT, 'x', b'x'), 'OK', 'PUT')
    check(os.listdir(f'{folder}/.mediastore') == [], 'what a killed courier left is removed')
    check(not os.path.exists(f'{folder}/media/killed'), 'it is in nobody\'s way')
    check(courier.close() == 0, 'it ended well')


ODD = ['with space+plus%percent.jpg', 'bäume/€.jpg', "quote'(1)!*&=?#;:@,~.jpg", 'a//b', 'a/../b', './c', 'x' * 1000, '"<&>"',
       'ünï%2Fcode/\U0001f5bc']


def make_bucket(courier_module_endpoint, bucket, access, secret):
    subprocess.run(['curl', '-sf', '-X', 'PUT', '-H', 'x-amz-content-sha256: ' + hashlib.sha256(b'').hexdigest(), '--user',
                    f'{access}:{secret}', '--aws-sigv4', 'aws:amz:us-east-1:s3', f'{courier_module_endpoint}/{bucket}'],
                   check=True, stdout=subprocess.DEVNULL)


def test_s3(program, endpoint, bucket):
    access = os.environ.get('S3_ACCESS_KEY', 'TESTACCESSKEY0000000')
    secret = os.environ.get('S3_SECRET_KEY', 'testsecret/with+special=chars0123456789')
    make_bucket(endpoint, bucket, access, secret)
    courier = Courier(program)
    options = dict(type='s3', endpoint=endpoint, bucket=bucket, region='us-east-1', prefix='media/', style='path',
                   access_key_id=access, secret_access_key=secret, private='yes')
    store = courier.store(**options)
    for head in round_trips(courier, store):
        check(head.fields.get('content_type') == 'image/png' and head.fields.get('cache_control') == 'public, max-age=60' and
              head.fields.get('meta-sha256') == 'abc', 'what was said of it', told(head))
    changed(courier, store, [0, 1, 300000, 5000000, 20000000])
    overdue(courier, options, 2, content_of(3000000), 1)
    for key in ODD:
        content = key.encode()
        is_status(courier.do(store, PUT, key, content), 'OK', f'PUT {key[:40]!r}')
        transfer = courier.do(store, GET, key)
        check(transfer.result == 'OK' and bytes(transfer.got) == content, 'the same bytes', told(transfer))
    listed = [i[0] for i in items(courier.do(store, LIST, ''))]
    check(listed == sorted(ODD, key=str.encode), 'LIST has them', listed)
    for key in ODD:
        is_status(courier.do(store, DELETE, key), 'OK', f'DELETE {key[:40]!r}')
    check(items(courier.do(store, LIST, '')) == [], 'LIST is empty')

    is_status(courier.do(store, PUT, 'x', b'1', flags=IF_NONE_MATCH), 'OK', 'PUT if there is none')
    is_status(courier.do(store, PUT, 'x', b'2', flags=IF_NONE_MATCH), 'EXISTS', 'PUT if there is none')
    check(bytes(courier.do(store, GET, 'x').got) == b'1', 'it stays')
    is_status(courier.do(store, DELETE, 'x'), 'OK', 'DELETE')
    careful = courier.store(**options, checksum='1', content_md5='1')
    for size in (0, 1000, 3000000, 20000000):
        is_status(courier.do(careful, PUT, 'careful', content_of(size)), 'OK', f'PUT with an MD5, {size}')
        check(bytes(courier.do(careful, GET, 'careful').got) == content_of(size), 'the same bytes')
    is_status(courier.do(careful, DELETE, 'careful'), 'OK', 'DELETE')

    for size in (16777217, 40000000, 100000000):
        content = content_of(size)
        is_status(courier.do(store, PUT, 'large', content, content_type='image/tiff', meta_a='b'), 'OK', f'PUT of {size} in parts')
        transfer = courier.do(store, GET, 'large')
        check(bytes(transfer.got) == content and transfer.fields['content_type'] == 'image/tiff' and
              transfer.fields['meta-a'] == 'b', 'the same bytes', told(transfer))
        head = courier.do(store, HEAD, 'large')
        check(head.frame['length'] == size, 'HEAD')
    content = content_of(20000000)
    transfers = [courier.begin(store, PUT, f'large/{i}', content) for i in range(7)]
    courier.wait(*transfers)
    check(all(t.result == 'OK' for t in transfers), 'seven in parts at a time', [told(t) for t in transfers])
    overdue(courier, options, 4, content, 40)

    many(courier, store, 1100, 1000)
    listed = items(courier.do(store, LIST, 'many/'))
    check([i[0] for i in listed] == [f'many/{i:05}' for i in range(1100)], 'a LIST of pages', len(listed))
    check(all(i[1] == '1000' and i[2] == hashlib.md5(content_of(1000)).hexdigest() and abs(int(i[3]) - time.time()) < 300
              for i in listed), 'what it says of each', listed[0])
    many(courier, store, 500, 150000)

    # whose fault it is
    def with_(**changes):
        return courier.store(**{**options, **changes})
    for operation in (PUT, GET, LIST):
        content = b'x' if operation == PUT else None
        transfer = courier.do(with_(secret_access_key='not the secret'), operation, 'x', content)
        is_status(transfer, 'MISCONFIGURED', 'the wrong secret', 'SignatureDoesNotMatch')
        check(transfer.fields.get('code') == 'SignatureDoesNotMatch' and 'not the secret' not in str(told(transfer)), 'its code',
              told(transfer))
        is_status(courier.do(with_(access_key_id='NOBODY'), operation, 'x', content), 'MISCONFIGURED', 'the wrong key')
        is_status(courier.do(with_(bucket='nothing'), operation, 'x', content), 'MISCONFIGURED', 'no bucket', 'NoSuchBucket')
        transfer = courier.do(with_(endpoint='http://127.0.0.1:9'), operation, 'x', content)
        is_status(transfer, 'UNREACHABLE', 'nobody listens', 'could not connect')
        is_status(courier.do(with_(endpoint='http://nothing.invalid'), operation, 'x', content), 'UNREACHABLE', 'no such name')
        is_status(courier.do(with_(endpoint=endpoint.replace('http:', 'https:')), operation, 'x', content), 'UNREACHABLE', 'no TLS')
        public = dict(options)
        del public['private']
        transfer = courier.do(courier.store(**public), operation, 'x', content)
        is_status(transfer, 'MISCONFIGURED', 'a loopback address', 'private_network')
        public['endpoint'] = endpoint.replace('127.0.0.1', 'localhost')
        is_status(courier.do(courier.store(**public), operation, 'x', content), 'MISCONFIGURED', 'a name of one', 'loopback')
    is_status(courier.do(with_(secret_access_key='wrong'), HEAD, 'x'), 'REFUSED', 'a HEAD has no code')
    is_status(courier.do(store, PUT, 'a\tb', b'x'), 'REFUSED', 'a key with a control character')
    is_status(courier.do(store, PUT, 'x', b'x', content_type='ä'), 'REFUSED', 'a header that cannot be sent')

    # a kept connection of a store that may go there is none for one that may not
    is_status(courier.do(store, HEAD, 'x'), 'ABSENT', 'a connection is kept')
    public['endpoint'] = endpoint
    is_status(courier.do(courier.store(**public), HEAD, 'x'), 'MISCONFIGURED', 'but not for all')
    check(courier.close() == 0, 'it ended well')

    courier = Courier(program)
    store = courier.store(**options)
    courier.hold = True
    transfer = courier.begin(store, PUT, 'killed', content_of(5000000))
    courier.answer(transfer, courier.event())
    courier.process.kill()
    courier.process.wait()
    courier = Courier(program)
    store = courier.store(**options)
    is_status(courier.do(store, HEAD, 'killed'), 'ABSENT', 'a killed one stores nothing')
    courier.close()


class Store:
    """An HTTP server of one's own making: what it answers is told by the key."""

    def __init__(self):
        self.socket = socket.create_server(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]
        self.seen, self.times, self.connections = [], {}, 0
        self.slow, self.most_slow, self.lock = 0, 0, threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        file = connection.makefile('rb')
        try:
            while self.answer(connection, file):
                pass
        except OSError:
            pass
        file.close()
        connection.close()

    def answer(self, connection, file):
        line = file.readline().decode().split()
        if len(line) < 2:
            return False
        method, target = line[:2]
        headers = {}
        while (header := file.readline().decode().strip()):
            name, value = header.split(':', 1)
            headers[name.lower()] = value.strip()
        case = target.split('?')[0].split('/')[2] if target.count('/') > 1 else 'list'
        query = target.partition('?')[2]
        self.times[case] = self.times.get(case, 0) + 1
        length = int(headers.get('content-length', 0))
        early = case == 'early'
        body = b'' if early else file.read(length)
        if len(body) < length and not early:
            self.seen.append((method, target, headers, 'cut'))
            return False
        self.seen.append((method, target, headers, len(body)))

        def say(status, text=b'', *more):
            text = text.encode() if isinstance(text, str) else text
            lines = [f'HTTP/1.1 {status} X', f'Content-Length: {len(text)}', *more]
            connection.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode() + (b'' if method == 'HEAD' else text))
            return True

        def error(code):
            return f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>because</Message></Error>'
        if case == 'list' or 'list-type=2' in query:
            return self.list(query, say)
        if case in ('slow', 'slowbusy'):
            with self.lock:
                self.slow += 1
                self.most_slow = max(self.most_slow, self.slow)
            time.sleep(0.3)
            with self.lock:
                self.slow -= 1
        if case in ('busy', 'slowbusy'):
            return say(503, error('SlowDown'), 'Retry-After: 7')
        if case == 'date':
            when = time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime(time.time() + 60))
            return say(429, '', f'Retry-After: {when}')
        if case == 'garbage':
            return say(500, b'\0\xff<<<')
        if case == 'html':
            return say(403, '<html><p>no<br></html>')
        if case == 'endless':
            return say(403, error('AccessDenied')[:-8] + 'x' * 3000000 + '</Error>')
        if case == 'doctype':
            return say(403, '<!DOCTYPE a [<!ENTITY b "InvalidAccessKeyId">]><Error><Code>&b;</Code></Error>')
        if case == 'region':
            return say(301, error('PermanentRedirect'), 'x-amz-bucket-region: eu-west-3')
        if case == 'redirect':
            return say(302, '', f'Location: http://127.0.0.1:{self.port}/bucket/fine')
        if case == 'stall':
            time.sleep(20)
            return False
        if case == 'noetag':
            return say(200)
        if case == 'early':
            say(403, error('AccessDenied'), 'Connection: close')
            while file.read(1 << 16):   # or else a reset may overtake the answer
                pass
            return False
        if case == 'cut':
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: "x"\r\n\r\n' + b'x' * 50000)
            return False
        if case == 'nothttp':
            connection.sendall(b'220 ftp ready\r\n')
            return False
        if case == 'secret':
            return say(403, '<Error><Code>AccessDenied</Code><Message>' + headers['authorization'] + '</Message></Error>')
        if case == 'big':
            return say(200, content_of(20000000), 'ETag: "x"')
        if case == 'dead':
            # a connection that looks as if it were kept
            say(200, '', 'ETag: "x"')
            return False
        if case in ('parts', 'failing', 'nopart', 'lost'):
            if query == 'uploads=':
                return say(200, '<InitiateMultipartUploadResult><UploadId>an id+</UploadId></InitiateMultipartUploadResult>')
            if method == 'DELETE':
                return say(204)
            if method == 'PUT':
                return say(200, '', 'ETag: "<x>"') if case != 'nopart' or 'partNumber=2' not in query else say(500)
            if case == 'failing':
                return say(200, error('InternalError'))
            if case == 'lost':
                return say(200, '<?xml version="1.0"?>\n   <CompleteMultipartUploadResult><ETag>')
            return say(200, '<CompleteMultipartUploadResult><ETag>&quot;whole-3&quot;</ETag></CompleteMultipartUploadResult>')
        return say(200, '', 'ETag: W/"fine"')

    def list(self, query, say):
        if 'prefix=media%2Fcontrol' in query:
            keys = 'a b+c &#xE9;', 'media/control1', 'media/control\x01', 'media/control3'
            if 'encoding-type=url' in query:
                keys = 'a', 'media/control1', 'media/control%01+%2B', 'media/control3'
            text = ''.join(f'<Contents><Key>{k}</Key><Size>1</Size></Contents>' for k in keys)
            return say(200, f'<ListBucketResult>{text}</ListBucketResult>')
        if 'prefix=media%2Floop' in query:
            return say(200, '<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>'
                            '</ListBucketResult>')
        if 'prefix=media%2Flong' in query:
            page = int(query.split('continuation-token=')[1].split('&')[0]) if 'continuation-token' in query else 0
            text = ''.join(f'<Contents><Key>media/long{page:02}{i:03}{"x" * 900}</Key><Size>1</Size></Contents>' for i in range(1000))
            more = f'<IsTruncated>true</IsTruncated><NextContinuationToken>{page + 1}</NextContinuationToken>' if page < 3 else ''
            return say(200, f'<ListBucketResult>{more}{text}</ListBucketResult>')
        return say(200, '<html>hello</html>')

    def requests(self, case):
        return [(m, t.partition('?')[2]) for m, t, *_ in self.seen if t.startswith(f'/bucket/{case}')]

    @staticmethod
    def comes_to(condition, seconds=20):
        until = time.monotonic() + seconds
        while not condition() and time.monotonic() < until:
            time.sleep(0.05)
        return condition()


def waiting(courier, server, options):
    """Transfers that wait for their turn."""
    plain, other = courier.store(**options), courier.store(**options)
    transfers = [courier.begin(plain, PUT, f'slow/{n}', content_of(1000), concurrency=2) for n in range(6)]
    while sum(len(t.wants) for t in transfers) < 6:
        courier.event()
    check(not any(t.result for t in transfers), 'bytes are asked for before the turn')
    courier.wait(*transfers)
    check(all(t.result == 'OK' for t in transfers), 'all get their turn', [told(t) for t in transfers])
    check(server.most_slow == 2, 'two at a time', server.most_slow)
    check({t for _, t, *_ in server.seen[-6:-4]} == {'/bucket/slow/0', '/bucket/slow/1'}, 'in their order', server.seen[-6:])

    first = courier.begin(plain, PUT, 'slowbusy', content_of(1000), concurrency=1)
    behind = [courier.begin(plain, PUT, 'fine', content_of(1000), concurrency=1) for _ in range(3)]
    others = courier.begin(other, PUT, 'fine', content_of(1000), concurrency=1)
    before = len(server.seen)
    courier.wait(first, others, *behind)
    check(first.result == 'BUSY' and all(t.result == 'CANCELLED' for t in behind), 'a store that has failed is left alone',
          [told(t) for t in behind])
    check(others.result == 'OK' and len(server.seen) == before + 2, 'another is not', told(others))

    patient = courier.store(**{**options, 'stall_timeout': 3000})
    hasty = courier.store(**{**options, 'transfer_timeout': 500})
    first = courier.begin(patient, PUT, 'stall', content_of(1000), concurrency=1)
    late = courier.begin(hasty, PUT, 'fine', content_of(1000), concurrency=1)
    courier.wait(late)
    check(late.result == 'CANCELLED' and first.result is None, 'a turn that does not come', told(late))
    second = courier.begin(plain, PUT, 'fine', content_of(1000), concurrency=1)
    courier.wait(first, second)
    check(first.result == 'RETRY' and second.result == 'OK', 'the turn after one that has failed', (told(first), told(second)))

    # with more than half of its time gone it would hardly come to its end
    short = courier.store(**{**options, 'transfer_timeout': 5000})
    first = courier.begin(patient, PUT, 'stall', content_of(1000), concurrency=1)
    late = courier.begin(short, PUT, 'fine', content_of(1000), concurrency=1)
    before = len(server.seen)
    courier.wait(first, late)
    check(late.result == 'CANCELLED' and len(server.seen) <= before + 1, 'a turn that comes too late', told(late))


def test_faults(program):
    server = Store()
    courier = Courier(program)
    secret, token = 'a secret of its own', 'a-token-of-its-own'
    options = dict(type='s3', endpoint=f'http://127.0.0.1:{server.port}', bucket='bucket', style='path', access_key_id='AKID',
                   secret_access_key=secret, session_token=token, private='1', storage_class='COLD',
                   server_side_encryption='AES256')
    plain = courier.store(**options)

    def put(case, size=1000, store=plain, **extra):
        return courier.do(store, PUT, case, content_of(size), **extra)
    transfer = put('fine', content_type='image/png', meta_a='b c')
    is_status(transfer, 'OK', 'PUT')
    check(transfer.fields['etag'] == 'fine', 'a weak ETag', told(transfer))
    headers = server.seen[-1][2]
    check('expect' not in headers and 'transfer-encoding' not in headers and headers['content-length'] == '1000' and
          headers['x-amz-storage-class'] == 'COLD' and headers['x-amz-server-side-encryption'] == 'AES256' and
          headers['x-amz-security-token'] == token and headers['x-amz-meta-a'] == 'b c' and
          headers['x-amz-content-sha256'] == hashlib.sha256(content_of(1000)).hexdigest() and 'content-md5' not in headers and
          'x-amz-checksum-sha256' not in headers, 'its headers', headers)
    for i in range(20):
        put('fine')
    check(server.connections == 1, 'one connection for all', server.connections)
    transfer = put('busy')
    is_status(transfer, 'BUSY', '503')
    check(transfer.frame['retry_after'] == 7 and transfer.fields['code'] == 'SlowDown', 'and when to come again', transfer.frame)
    transfer = put('date')
    is_status(transfer, 'BUSY', '429')
    check(50 <= transfer.frame['retry_after'] <= 61, 'and when, by a date', transfer.frame)
    is_status(put('garbage'), 'RETRY', '500 and no XML', 'answered 500')
    is_status(put('html'), 'REFUSED', '403 and no XML', 'answered 403')
    transfer = put('endless')
    is_status(transfer, 'REFUSED', 'an answer without an end')
    check('code' not in transfer.fields, 'of which nothing counts')
    is_status(put('doctype'), 'REFUSED', 'a document type is no answer')
    is_status(put('region'), 'MISCONFIGURED', 'another region', '"eu-west-3"')
    is_status(courier.do(plain, HEAD, 'region'), 'MISCONFIGURED', 'another region, without XML', '"eu-west-3"')
    before = len(server.seen)
    is_status(put('redirect'), 'MISCONFIGURED', 'no redirect is followed')
    check(len(server.seen) == before + 1, 'one request')
    is_status(put('noetag'), 'MISCONFIGURED', 'a PUT without an ETag is none')
    is_status(put('early', 5000000), 'REFUSED', 'an answer before the end of the request', '')
    transfer = courier.do(plain, GET, 'cut')
    is_status(transfer, 'RETRY', 'half an object')
    is_status(courier.do(plain, GET, 'nothttp'), 'UNREACHABLE', 'no HTTP')
    transfer = put('secret')
    is_status(transfer, 'REFUSED', 'an answer that tells what it was told')
    check('AKID' not in str(told(transfer)) and 'Signature' not in str(told(transfer)), 'is not repeated', told(transfer))

    waiting(courier, server, options)
    patient = courier.store(**{**options, 'stall_timeout': 1000})
    begin = time.time()
    is_status(put('stall', store=patient), 'RETRY', 'a stall')
    # the speed is one over some seconds
    check(0.9 < time.time() - begin < 12, 'it is not waited out', time.time() - begin)
    hasty = courier.store(**{**options, 'transfer_timeout': 500})
    begin = time.time()
    is_status(put('stall', store=hasty), 'RETRY', 'a time-out')
    check(0.4 < time.time() - begin < 3, 'of its length', time.time() - begin)
    courier.hold = True
    transfer = courier.begin(hasty, PUT, 'fine', b'x')
    frame = courier.event()
    time.sleep(2)
    courier.answer(transfer, frame)
    courier.hold = False
    is_status(courier.wait(transfer), 'RETRY', 'a parent that is too slow', '500 ms')

    for size in (1000, 1000000, 5000000):
        is_status(put('dead', size), 'OK', 'the first on a connection')
        time.sleep(0.2)
        is_status(put('fine', size), 'OK', 'the next, on one that is dead')
    transfers = [courier.begin(plain, PUT, 'dead', content_of(5000000, i)) for i in range(8)]
    courier.wait(*transfers)
    transfers = [courier.begin(plain, PUT, 'fine', content_of(5000000, i)) for i in range(8)]
    courier.wait(*transfers)
    check(all(t.result in ('OK', 'RETRY') for t in transfers), 'eight at a time', [told(t) for t in transfers])

    transfer = put('parts', 20000000)
    is_status(transfer, 'OK', 'parts')
    check(transfer.fields['etag'] == 'whole-3', 'the ETag of the whole', told(transfer))
    check(server.requests('parts') == [('POST', 'uploads=')] + [('PUT', f'partNumber={i}&uploadId=an%20id%2B') for i in (1, 2, 3)] +
          [('POST', 'uploadId=an%20id%2B')], 'its requests', server.requests('parts'))
    for case, what in ('failing', 'an error in a 200'), ('lost', 'half an answer'), ('nopart', 'a part fails'):
        is_status(put(case, 20000000), 'RETRY', what)
        check(server.comes_to(lambda: server.requests(case)[-1] == ('DELETE', 'uploadId=an%20id%2B')),
              'the parts are thrown away', server.requests(case))
    before = len(server.requests('parts'))
    is_status(put('parts', 20000000, sha256='0' * 64), 'CHANGED', 'other bytes, in parts')
    check(server.comes_to(lambda: [m for m, _ in server.requests('parts')[before:]] == ['POST', 'PUT', 'PUT', 'DELETE']),
          'nothing is put together', server.requests('parts')[before:])

    # a parent that doesn't take what comes: no more than the slots
    transfer = courier.begin(plain, GET, 'big')
    lent = []
    while len(lent) < 3 or select.select([courier.socket], [], [], 0.5)[0]:
        frame, _ = courier.receive()
        assert frame['kind'] == DATA
        lent.append(frame)
    check(len(lent) in (3, 4), 'it waits for the parent', len(lent))
    is_status(courier.do(plain, PUT, 'fine', b'x'), 'OK', 'others go on')
    for frame in lent:
        transfer.got += courier.arena[frame['slot'] * SLOT:frame['slot'] * SLOT + frame['length']]
        courier.send(TAKEN, transfer=transfer.number, slot=frame['slot'])
    is_status(courier.wait(transfer), 'OK', 'and goes on')
    check(bytes(transfer.got) == content_of(20000000), 'the same bytes')
    transfer = courier.begin(hasty, GET, 'big')
    time.sleep(2)
    is_status(courier.wait(transfer), 'RETRY', 'a parent that takes too slowly')

    media = courier.store(**{**options, 'prefix': 'media/'})
    transfer = courier.do(media, LIST, 'control')
    is_status(transfer, 'OK', 'a list that is no XML')
    check([i[0] for i in items(transfer)] == ['control1', 'control\x01 +', 'control3'], 'is asked for encoded', items(transfer))
    is_status(courier.do(media, LIST, 'loop'), 'MISCONFIGURED', 'a list without an end')
    is_status(courier.do(media, LIST, ''), 'MISCONFIGURED', 'a list that is none')
    transfer = courier.begin(media, LIST, 'long')
    time.sleep(1)
    is_status(courier.wait(transfer), 'OK', 'a long list')
    check(len({i[0] for i in items(transfer)}) == len(items(transfer)) == 4000, 'all of it', len(items(transfer)))

    # forgotten while it is used
    transfer = courier.begin(plain, GET, 'big')
    courier.send(FORGET, store=plain)
    is_status(courier.wait(transfer), 'OK', 'a store is forgotten while it is used')
    check(courier.close() == 0, 'it ended well')


def main():
    program = os.path.abspath(sys.argv[1])
    if sys.argv[2] == 'file':
        violations(program)
        life(program)
        test_file(program, sys.argv[3])
    elif sys.argv[2] == 'faults':
        test_faults(program)
    else:
        test_s3(program, sys.argv[3], sys.argv[4])
    print(f'{failed} failed')
    sys.exit(failed != 0)


if __name__ == '__main__':
    main()
