# Objects at a store: media_put, media_get, media_head, media_delete and
# media_list, with a real S3 server that checks signatures (test/s3/rgw), and
# with a store that never answers.  The second part needs no S3 server.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FindBin;
use IO::Socket::INET;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $rgw = "$FindBin::RealBin/../s3/rgw";
my $rgw_folder = PostgreSQL::Test::Utils::tempdir_short() . '/rgw';
my $port = PostgreSQL::Test::Cluster::get_free_port();
my ($key, $secret) = ('TESTACCESSKEY0000000', 'testsecret/with+special=chars0123456789');
my $has_rgw = !(grep { system("command -v $_ >/dev/null 2>&1") != 0 } qw(radosgw ceph-mon ceph-osd curl))
  && system("$rgw start $rgw_folder $port >/dev/null 2>&1") == 0;

END
{
	my $status = $?;
	system($rgw, 'stop', $rgw_folder) if defined $rgw_folder && -e "$rgw_folder/ceph.conf";
	$? = $status;
}

# A store that takes connections and never answers: its own backlog does.
my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 100, Proto => 'tcp') or die "no listener: $!";
my $silent_port = $silent->sockport;

my $node = PostgreSQL::Test::Cluster->new('store');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "log_statement = none\n");
$node->start;
$node->safe_psql(
	'postgres', qq{
	CREATE EXTENSION mediastore;
	CREATE SERVER pictures TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'pictures', region 'us-east-1',
		endpoint 'http://127.0.0.1:$port', prefix 'media/', private_network 'true', metadata 'origin=database');
	CREATE USER MAPPING FOR PUBLIC SERVER pictures OPTIONS (access_key_id '$key', secret_access_key '$secret');
	CREATE SERVER careful TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'pictures', region 'us-east-1',
		endpoint 'http://127.0.0.1:$port', prefix 'careful/', private_network 'true', checksum 'true', content_md5 'true');
	CREATE USER MAPPING FOR PUBLIC SERVER careful OPTIONS (access_key_id '$key', secret_access_key '$secret');
	CREATE SERVER thief TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'pictures', region 'us-east-1',
		endpoint 'http://127.0.0.1:$port', private_network 'true');
	CREATE USER MAPPING FOR PUBLIC SERVER thief OPTIONS (access_key_id '$key', secret_access_key 'dontshowthis');
	CREATE SERVER stranger TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'pictures', region 'us-east-1',
		endpoint 'http://127.0.0.1:$port', private_network 'true');
	CREATE USER MAPPING FOR PUBLIC SERVER stranger OPTIONS (access_key_id 'NOSUCHKEY', secret_access_key 'dontshowthis');
	CREATE SERVER homeless TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'nosuchbucket', region 'us-east-1',
		endpoint 'http://127.0.0.1:$port', private_network 'true');
	CREATE USER MAPPING FOR PUBLIC SERVER homeless OPTIONS (access_key_id '$key', secret_access_key '$secret');
	CREATE SERVER closed TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'pictures', region 'us-east-1',
		endpoint 'http://127.0.0.1:$port');
	CREATE USER MAPPING FOR PUBLIC SERVER closed OPTIONS (access_key_id '$key', secret_access_key '$secret');
	CREATE SERVER silent TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'pictures', region 'us-east-1',
		endpoint 'http://127.0.0.1:$silent_port', private_network 'true');
	CREATE USER MAPPING FOR PUBLIC SERVER silent OPTIONS (access_key_id '$key', secret_access_key 'dontshowthis');
	CREATE SERVER nobody TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'pictures', region 'us-east-1',
		endpoint 'http://127.0.0.1:1', private_network 'true');
	CREATE USER MAPPING FOR PUBLIC SERVER nobody OPTIONS (access_key_id '$key', secret_access_key 'dontshowthis');
	CREATE SERVER nameless TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'pictures', region 'us-east-1',
		endpoint 'http://no.such.name.invalid');
	CREATE USER MAPPING FOR PUBLIC SERVER nameless OPTIONS (access_key_id '$key', secret_access_key 'dontshowthis');
	CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE
		result text;
		detail text;
		hint text;
	BEGIN
		EXECUTE statement INTO result;
		RETURN 'ok ' || coalesce(result, 'null');
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
		RETURN format('%s %s [%s] [%s]', SQLSTATE, SQLERRM, detail, hint);
	END \$\$;
	-- bytes that do not compress, NULs among them
	CREATE FUNCTION noise(length int, seed int DEFAULT 0) RETURNS bytea LANGUAGE sql AS \$\$
		SELECT substr(string_agg(sha512(int4send(seed) || int4send(n)), NULL ORDER BY n), 1, length)
		FROM generate_series(0, length / 64) AS n \$\$;
});

my $session = $node->background_psql('postgres', on_error_stop => 0, timeout => 120);
my $backend = backend_pid($session);

sub try_sql
{
	my ($statement) = @_;
	return $session->query_safe("SELECT try(\$try\$$statement\$try\$)");
}

# The courier of a session, which may be busy: 0 if there is none.
sub courier_of
{
	my ($parent) = @_;
	foreach my $stat (glob '/proc/[0-9]*/stat')
	{
		open my $file, '<', $stat or next;
		my $line = <$file> // '';
		close $file;
		return $1 if $line =~ /^(\d+) \(mediastore-cour.*\) [^ZX] $parent /;
	}
	return 0;
}

# Waits until the session's courier has a connection to the silent store.
sub wait_connected
{
	foreach my $try (1 .. 1000)
	{
		my $taken;
		my $select = '';
		vec($select, fileno($silent), 1) = 1;
		if (select($select, undef, undef, 0.01) > 0)
		{
			$taken = $silent->accept;
			return $taken;
		}
	}
	die 'nobody has connected';
}

SKIP:
{
	skip 'radosgw, ceph-mon, ceph-osd or curl is not installed, or does not start', 1 unless $has_rgw;

	# curl leaves the hash of the body out, which the gateway wants
	system_or_bail('curl', '-sf', '-X', 'PUT', '-H', 'x-amz-content-sha256: ' . sha256_hex(''), '--user', "$key:$secret", '--aws-sigv4',
		'aws:amz:us-east-1:s3', "http://127.0.0.1:$port/pictures");

	# there and back, of all sizes
	foreach my $length (0, 1, 65535, 65536, 65537, 262143, 262144, 262145, 5242879, 5242880, 5242881, 41943040)
	{
		is( try_sql(
				"WITH value AS MATERIALIZED (SELECT noise($length) AS data), put AS MATERIALIZED (SELECT media_put('pictures', 'noise', data) AS url, data FROM value)
				SELECT concat_ws(' ', url, (media_head('pictures', 'noise')).bytes, media_get('pictures', 'noise') = data) FROM put"),
			"ok http://127.0.0.1:$port/pictures/media/noise $length t",
			"$length bytes");
	}
	is(try_sql("SELECT media_put('careful', 'noise', noise(100000)) IS NOT NULL AND media_get('careful', 'noise') = noise(100000)"), 'ok true', 'with checksums');
	is(try_sql("SELECT media_put('pictures', 'nul', '\\x00000000') IS NOT NULL AND media_get('pictures', 'nul') = '\\x00000000'"), 'ok true', 'NULs');
	my $private = $node->safe_psql('postgres', "SELECT media_presign('pictures', 'noise')");
	my ($sum) = run_command([ 'sh', '-c', "curl -s '$private' | sha256sum" ]);
	is($sum =~ s/\s.*//r, $node->safe_psql('postgres', "SELECT encode(sha256(noise(41943040)), 'hex')"), 'others read the same');

	# what comes with it
	is(try_sql("SELECT media_put('pictures', 'picture.jpg', ${\hex(jpeg())})"), "ok http://127.0.0.1:$port/pictures/media/picture.jpg", 'a picture');
	is(try_sql("SELECT concat_ws(' ', content_type, cache_control, metadata) FROM media_head('pictures', 'picture.jpg')"),
		'ok image/jpeg {"origin": "database"}', 'its type, and the metadata of the store');
	is(try_sql("SELECT media_put('pictures', 'described', 'x', 'text/plain; charset=utf-8', 'no-store, max-age=0', '{\"Author-Name\": \"A = b, c; d  e\", \"n\": \"1\"}')"),
		"ok http://127.0.0.1:$port/pictures/media/described", 'headers');
	is(try_sql("SELECT concat_ws(' | ', content_type, cache_control, metadata, etag, last_modified BETWEEN now() - interval '1 min' AND now() + interval '1 min')
			FROM media_head('pictures', 'described')"),
		'ok text/plain; charset=utf-8 | no-store, max-age=0 | {"n": "1", "origin": "database", "author-name": "A = b, c; d  e"} | 9dd4e461268c8034f5c8564e155c67a6 | t', 'come back');
	is(try_sql("SELECT media_put('pictures', 'unknown', 'x')"), "ok http://127.0.0.1:$port/pictures/media/unknown", 'no picture');
	is(try_sql("SELECT content_type FROM media_head('pictures', 'unknown')"), 'ok application/octet-stream', 'has no type');

	# keys
	foreach my $name ('with space+plus%percent%2F.jpg', "b\xc3\xa4ume/\xe2\x82\xac\xf0\x9f\x98\x80.jpg", q{quote"(1)!*&=?#;:@,~[]{}|^`\\.jpg}, 'a//b/', '-x', "it's")
	{
		my $quoted = "\$key\$$name\$key\$";
		is( try_sql("SELECT concat_ws(' ', media_put('pictures', $quoted, 'x') IS NOT NULL, encode(media_get('pictures', $quoted), 'escape'),
				(SELECT count(*) FROM media_list('pictures', $quoted) AS list WHERE list.key = $quoted),
				media_delete('pictures', $quoted), media_delete('pictures', $quoted))"),
			'ok t x 1 t f', "key $name");
	}

	# none there, one there
	like(try_sql("SELECT media_get('pictures', 'missing')"), qr/^42704 server "pictures": .*The key is "missing", the HTTP status 404 \(NoSuchKey\)/, 'there is none');
	is(try_sql("SELECT (media_head('pictures', 'missing')).*"), 'ok null', 'head of none');
	is(try_sql("SELECT media_delete('pictures', 'missing')"), 'ok false', 'delete of none');
	is(try_sql("SELECT media_put('pictures', 'once', 'first', if_none_match => true) IS NOT NULL"), 'ok true', 'if there is none');
	like(try_sql("SELECT media_put('pictures', 'once', 'second', if_none_match => true)"), qr/^42710 server "pictures": /, 'there is one');
	is(try_sql("SELECT encode(media_get('pictures', 'once'), 'escape')"), 'ok first', 'which stays');

	# lists, longer than one answer
	is(try_sql("SELECT count(media_put('pictures', 'many/' || n, 'x')) FROM generate_series(1, 1050) AS n"), 'ok 1050', 'many objects');
	is(try_sql("SELECT concat_ws(' ', count(*), count(DISTINCT key), min(bytes), max(bytes), count(etag), bool_and(last_modified > now() - interval '1 hour'))
			FROM media_list('pictures', 'many/')"), 'ok 1050 1050 1 1 1050 t', 'are listed');
	is(try_sql("SELECT string_agg(key, ' ' ORDER BY key COLLATE \"C\") FROM media_list('pictures', 'many/100')"), 'ok many/100 many/1000 many/1001 many/1002 many/1003 many/1004 many/1005 many/1006 many/1007 many/1008 many/1009', 'some of them');
	is(try_sql("SELECT count(*) > 1050 AND count(*) FILTER (WHERE key LIKE 'media/%') = 0 FROM media_list('pictures')"), 'ok true', 'all of them, without the prefix');

	# what can't be
	like(try_sql("SELECT media_get('thief', 'noise')"), qr/^28000 server "thief": .*\(SignatureDoesNotMatch\)/, 'a wrong secret');
	like(try_sql("SELECT media_put('stranger', 'x', 'x')"), qr/^28000 server "stranger": .*\(InvalidAccessKeyId\)/, 'an unknown key');
	like(try_sql("SELECT media_put('homeless', 'x', noise(1000000))"), qr/^HV00N server "homeless": .*\(NoSuchBucket\)/, 'no bucket');
	like(try_sql("SELECT count(*) FROM media_list('homeless')"), qr/^HV00N server "homeless": .*\(NoSuchBucket\)/, 'nor a list');
	like(try_sql("SELECT media_get('closed', 'noise')"), qr/^HV00N server "closed": .*\[.*private_network.*\]$/, 'a private network is refused, with a hint');
	$session->query_safe('SET mediastore.private_networks = on');
	is(try_sql("SELECT media_get('closed', 'media/noise') = noise(41943040)"), 'ok true', 'unless all are allowed');
	$session->query_safe('RESET mediastore.private_networks');
	like(try_sql("SELECT media_get('closed', 'noise')"), qr/^HV00N /, 'and refused again');

	# one courier does it all, and keeps no memory for it
	my $courier = courier_of($backend);
	cmp_ok(resident($courier), '<', 200_000, 'the courier is small');
	is($session->query_safe('SELECT pid FROM mediastore.helper WHERE program = \'mediastore-courier\''), $courier, 'it is shown');

	# on a standby
	$node->backup('copy');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'copy', has_streaming => 1);
	$standby->start;
	is($standby->safe_psql('postgres', "SELECT media_get('pictures', 'once') = 'first', (media_head('pictures', 'once')).bytes, count(*) FROM media_list('pictures', 'once')"),
		't|5|1', 'a standby reads');
	my ($code, $out, $err) = $standby->psql('postgres', "SELECT media_put('pictures', 'once', 'x')");
	like($err, qr/cannot execute media_put\(\) in a read-only transaction/, 'and does not write');
	$standby->stop;
}

# nobody there
like(try_sql("SELECT media_get('nobody', 'x')"), qr/^08001 server "nobody": /, 'no server');
like(try_sql("SELECT media_get('nameless', 'x')"), qr/^08001 server "nameless": /, 'no name');

# a store that does not answer: cancel and time-out end it at once
my @calls = ("media_put('silent', 'x', noise(4000000))", "media_get('silent', 'x')", "media_head('silent', 'x')", "media_delete('silent', 'x')", "media_list('silent')");
foreach my $call (@calls)
{
	my $best = 1000;
	foreach my $try (1 .. 3)
	{
		my $done = $session->query_until(qr/^started$/m, "\\echo started\nSELECT $call;\n\\warn finished\n");
		my $connection = wait_connected();
		my $start = time;
		$node->safe_psql('postgres', "SELECT pg_cancel_backend($backend)") if $try == 1;
		kill 'INT', $backend if $try > 1;
		usleep(1000) until gone_or_idle($backend);
		$best = time - $start if time - $start < $best;
	}
	cmp_ok($best, '<', 0.2, "$call: cancelled");
	$session->query('SELECT 1');
	like($session->{stderr}, qr/canceling statement due to user request/, 'by an error');
	$session->{stderr} = '';
}

# Whether the session waits for a statement.
sub gone_or_idle
{
	my ($pid) = @_;
	my $command = slurp_file("/proc/$pid/cmdline");
	return $command =~ /idle/;
}

foreach my $call (@calls)
{
	my $start = time;
	$session->query_safe("SET statement_timeout = '200ms'");
	$session->query("SELECT $call");
	like($session->{stderr}, qr/canceling statement due to statement timeout/, "$call: statement_timeout");
	$session->{stderr} = '';
	$session->query_safe('RESET statement_timeout');
	cmp_ok(time - $start, '<', 5, 'at once');
}
$silent->blocking(0);
while ($silent->accept) { }
$silent->blocking(1);

# its own limits
$session->query_safe("SET mediastore.transfer_timeout = '300ms'");
like(try_sql("SELECT media_get('silent', 'x')"), qr/^08006 server "silent": /, 'transfer_timeout');
$session->query_safe("RESET mediastore.transfer_timeout; SET mediastore.stall_timeout = '1s'");
like(try_sql("SELECT media_get('silent', 'x')"), qr/^08006 server "silent": /, 'stall_timeout');
$session->query_safe('RESET mediastore.stall_timeout');
$silent->blocking(0);
while ($silent->accept) { }
$silent->blocking(1);

# the courier is killed while it works
foreach my $call (@calls[ 0 .. 2 ])
{
	$session->query_until(qr/^started$/m, "\\echo started\nSELECT $call;\n");
	my $connection = wait_connected();
	my $courier = courier_of($backend);
	ok($courier, 'there is a courier');

	# nor does it show what it knows
	my $seen = slurp_file("/proc/$courier/cmdline");
	# which the system may keep from others altogether
	$seen .= slurp_file("/proc/$courier/environ") if open my $environment, '<', "/proc/$courier/environ";
	unlike($seen, qr/dontshow|\Q$secret\E/, 'no secret in its arguments or environment');
	my $activity = $node->safe_psql('postgres', 'SELECT string_agg(a::text, E\'\n\') FROM pg_stat_activity AS a');
	like($activity, qr/media_/, 'the call is seen');
	unlike($activity, qr/dontshow|\Q$secret\E/, 'the secret is not');

	kill 'KILL', $courier;
	$session->query('SELECT 1');
	like($session->{stderr}, qr/ERROR:  server "silent": courier process was killed/, "$call: the courier was killed");
	$session->{stderr} = '';
	ok(left_nothing($courier), 'and is gone');
	is($session->query_safe('SELECT pg_backend_pid()'), $backend, 'the session goes on');
}
like(try_sql("SELECT media_get('nobody', 'x')"), qr/^08001 server "nobody": /, 'and so does the next call');
is(try_sql("SELECT encode(media_get('pictures', 'once'), 'escape')"), 'ok first', 'one that works, too') if $has_rgw;

# the backend is killed: the courier goes with it
my $courier = courier_of($backend);
ok($courier, 'there is a courier');
$session->quit;
ok(wait_gone($courier), 'it ends with its session');

my $log = slurp_file($node->logfile);
unlike($log, qr/dontshow|\Q$secret\E/, 'no secret in the log');
unlike($log, qr/PANIC|server process \(PID \d+\) was terminated/, 'no crash');

done_testing();
