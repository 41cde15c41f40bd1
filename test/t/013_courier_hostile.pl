# A courier that breaks the rules, dies or says nothing (test/rogue): the
# session gets a clean error, and its next call works.
use strict;
use warnings;
use File::Copy;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $folder = PostgreSQL::Test::Utils::tempdir();
copy(build_folder() . '/mediastore.so', "$folder/mediastore.so") or die;
copy("$FindBin::RealBin/../rogue/mediastore-courier", "$folder/mediastore-courier") or die;
chmod 0755, "$folder/mediastore.so", "$folder/mediastore-courier";

my $node = PostgreSQL::Test::Cluster->new('hostile');
$node->init;
$node->append_conf('postgresql.conf', "log_statement = none\nlog_min_error_statement = panic");
$node->start;
$node->safe_psql(
	'postgres', qq{
	CREATE FOREIGN DATA WRAPPER mediastore;
	CREATE FUNCTION media_put(server name, key text, data bytea, content_type text DEFAULT NULL, cache_control text DEFAULT NULL,
		metadata jsonb DEFAULT NULL, if_none_match bool DEFAULT false) RETURNS text LANGUAGE c AS '$folder/mediastore';
	CREATE FUNCTION media_get(server name, key text) RETURNS bytea LANGUAGE c STRICT AS '$folder/mediastore';
	CREATE FUNCTION media_head(server name, key text, OUT bytes int8, OUT content_type text, OUT cache_control text, OUT etag text,
		OUT last_modified timestamptz, OUT metadata jsonb) LANGUAGE c STRICT AS '$folder/mediastore';
	CREATE FUNCTION media_delete(server name, key text) RETURNS bool LANGUAGE c STRICT AS '$folder/mediastore';
	CREATE FUNCTION media_list(server name, prefix text, OUT key text, OUT bytes int8, OUT etag text, OUT last_modified timestamptz)
		RETURNS SETOF record LANGUAGE c STRICT AS '$folder/mediastore';
	CREATE FUNCTION helper(OUT program text, OUT pid int, OUT sandboxed bool, OUT requests int8,
		OUT memory int8, OUT started_at timestamptz) RETURNS SETOF record
		LANGUAGE c VOLATILE STRICT AS '$folder/mediastore', 'mediastore_helpers';
	CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE result text;
	BEGIN
		EXECUTE statement INTO result;
		RETURN 'ok ' || coalesce(result, 'null');
	EXCEPTION WHEN OTHERS THEN
		RETURN SQLSTATE || ' ' || SQLERRM;
	END \$\$;
	CREATE SERVER s3 TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'pictures', region 'us-east-1', storage_class 'STANDARD_IA');
	CREATE USER MAPPING FOR PUBLIC SERVER s3 OPTIONS (access_key_id 'AKIA', secret_access_key 'dontshow');
	CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '/srv/media');
});

my $session = $node->background_psql('postgres', on_error_stop => 0, timeout => 60);
my $backend = backend_pid($session);

sub try_sql
{
	my ($statement) = @_;
	return $session->query_safe("SELECT try(\$try\$$statement\$try\$)");
}

sub courier_pid
{
	return $session->query_safe("SELECT pid FROM helper() WHERE program = 'mediastore-courier'");
}

# what keeps to the rules works
my $megabyte = "decode(repeat('00ff0a', 350000), 'hex')";
like(try_sql("SELECT media_put('s3', 'good', $megabyte)"), qr{^ok https://pictures\.s3\.us-east-1\.amazonaws\.com/good$}, 'put');
is(try_sql("SELECT media_get('s3', 'good') = $megabyte"), 'ok true', 'get');
is(try_sql("SELECT bytes FROM media_head('s3', 'good')"), 'ok 1050000', 'head');
is(try_sql("SELECT media_put('s3', 'empty', '')"), 'ok https://pictures.s3.us-east-1.amazonaws.com/empty', 'put of nothing');
is(try_sql("SELECT media_get('s3', 'empty')"), 'ok \x', 'get of nothing');
is(try_sql("SELECT media_delete('s3', 'good')"), 'ok true', 'delete');
is(try_sql("SELECT media_delete('s3', 'good')"), 'ok false', 'delete of nothing');
is(try_sql("SELECT media_get('s3', 'good')"), '42704 server "s3": status 1', 'get of nothing');
my $pid = courier_pid();
is(try_sql("SELECT bytes FROM media_head('s3', 'empty')"), 'ok 0', 'and once more');
is(courier_pid(), $pid, 'one courier did all that');

# stores are told once, and again when they change
my $stores = try_sql("SELECT media_put('s3', 'stores', '')");
like($stores, qr/access_key_id:AKIA/, 'the store was told with its credentials');
like($stores, qr/storage_class:STANDARD_IA/, 'and its options');
unlike($stores, qr/private/, 'private networks are not open');
my $count = () = $stores =~ /\btype:/g;
is($count, 1, 'once');
$session->query_safe("SET mediastore.stall_timeout = '7s'");
like(try_sql("SELECT media_put('s3', 'stores', '')"), qr/type:s3.*type:s3.*stall_timeout:7000|stall_timeout:7000.*type:s3/s, 'a setting changes it');
$session->query_safe("RESET mediastore.stall_timeout; ALTER USER MAPPING FOR PUBLIC SERVER s3 OPTIONS (SET access_key_id 'AKIANEW')");
like(try_sql("SELECT media_put('s3', 'stores', '')"), qr/access_key_id:AKIANEW/, 'a mapping changes it');
$session->query_safe("SET mediastore.private_networks = on");
like(try_sql("SELECT media_put('s3', 'stores', '')"), qr/private:true/, 'private networks are open');
$session->query_safe("RESET mediastore.private_networks");
like(try_sql("SELECT media_put('files', 'stores', '')"), qr{root:/srv/media}, 'a file store');
foreach my $turn (1 .. 100)
{
	$session->query_safe("SET mediastore.stall_timeout = @{[1000 + $turn]}; SELECT media_head('s3', 'none')");
}
$session->query_safe("RESET mediastore.stall_timeout");
is(try_sql("SELECT media_put('s3', 'count stores', '')"), '22023 server "s3": 64', 'those not used for long are forgotten');
is(courier_pid(), $pid, 'still the same courier');

# what it may not say, and how it may end
my %any = (
	'dies' => qr/^08006 server "s3": courier process ended \(exit status 3\)$/,
	'killed' => qr/^08006 server "s3": courier process was killed$/,
	'leaves' => qr/^08006 server "s3": courier process has left$/,
	map { $_ => qr/^08006 server "s3": courier process broke the protocol$/ } 'magic', 'version', 'short', 'long', 'text_length', 'kind', 'hello', 'stranger',
	'status', 'half field', 'no name', 'no value');
my %put = ('want then die' => $any{dies}, map { $_ => $any{magic} } 'slot', 'same slot', 'want nothing', 'want much', 'want behind', 'want past', 'data');
my %get = ('data then die' => qr/^ok /, 'shrunk' => qr/^58000 could not read from the courier process/, map { $_ => $any{magic} } 'want', 'gap', 'length');
my %list = ('list no key' => qr/^58000 /, 'list half' => qr/^58000 /, 'list not utf8' => qr/^22021 /);

foreach my $case (
	[ "media_put('s3', '%s', 'abc')", { %any, %put } ],
	[ "media_get('s3', '%s')", { %any, %get } ],
	[ "media_head('s3', '%s')", \%any ],
	[ "count(*) FROM media_list('s3', '%s')", { %any, %list } ])
{
	my ($call, $expected) = @$case;
	foreach my $key (sort keys %$expected)
	{
		like(try_sql('SELECT ' . sprintf($call, $key)), $expected->{$key}, sprintf($call, $key));
		my $next = try_sql("SELECT media_put('s3', 'after', 'abc') IS NOT NULL AND media_get('s3', 'after') = 'abc'");

		# it had given all before it died, so the next may be what sees its end
		$next = try_sql("SELECT media_put('s3', 'after', 'abc') IS NOT NULL AND media_get('s3', 'after') = 'abc'")
		  if $key eq 'data then die' && $next =~ $any{dies};
		is($next, 'ok true', 'the next works');
	}
}
my $log = slurp_file($node->logfile);
like($log, qr/LOG:  courier process broke the protocol/, 'it is in the log');

# what it may say, if odd
like(try_sql("SELECT media_put('s3', 'want all', 'abc')"), qr/^22023 server "s3": status 4$/, 'all slots are wanted');
like(try_sql("SELECT media_put('s3', 'want much at once', 'abc')"), qr/^22023 server "s3": status 4$/, 'more than the socket holds');
is(try_sql("SELECT media_put('s3', 'after', 'abc') IS NOT NULL AND media_get('s3', 'after') = 'abc'"), 'ok true', 'the next works');
is(try_sql("SELECT media_put('s3', 'odd text', 'abc')"), "22023 server \"s3\": a?b?[31m???\xc3\xa4 %s" =~ s/\?\?\?/??/r, 'odd text');
is(length(try_sql("SELECT media_put('s3', 'much text', 'abc')")), length('22023 server "s3": ') + 1000, 'much text');
is(try_sql("SELECT media_put('s3', 'no text', 'abc')"), '22023 server "s3": unknown reason', 'no text');
is(try_sql("SELECT (media_head('s3', 'odd numbers')) = (NULL::int8, NULL::text, NULL::text, NULL::text, NULL::timestamptz, '{}'::jsonb)"), 'ok true', 'odd numbers');
is(try_sql("SELECT count(*) FROM (SELECT jsonb_object_keys(metadata) FROM media_head('s3', 'many')) AS keys"), 'ok 2000', 'much metadata');
is(try_sql("SELECT string_agg(format('%s %s %s %s', key, bytes, etag, extract(epoch FROM last_modified)::int8), ', ') FROM media_list('s3', 'list')"),
	"ok a 5 e 1000000000, b   , \xc3\xa4   ", 'a list');
is(try_sql("SELECT media_put('s3', 'twice', 'abc')"), '42704 server "s3": status 1', 'two results: the first counts');
is(try_sql("SELECT media_get('s3', 'after')"), '42704 server "s3": status 1', 'and the other is the end of it');

# it says nothing
foreach my $call ("media_put('s3', 'silent', 'abc')", "media_put('s3', 'want much and sleep', 'abc')", "media_get('s3', 'silent')", "media_head('s3', 'silent')", "media_delete('s3', 'silent')",
	"media_list('s3', 'silent')")
{
	$session->query_safe("SET statement_timeout = '1s'");
	my $start = time;
	$session->query("SELECT $call");
	my $took = time - $start;
	like($session->{stderr}, qr/canceling statement due to statement timeout/, "$call: a time-out");
	$session->{stderr} = '';
	$session->query_safe('RESET statement_timeout');
	cmp_ok($took, '<', 5, 'ends it at once');
	is(try_sql("SELECT media_put('s3', 'after', 'abc') IS NOT NULL"), 'ok true', 'the next works');
}
# in a subtransaction, and a helper that is reaped in between
is(try_sql("SELECT try('SELECT media_put(''s3'', ''dies'', ''abc'')')"), 'ok 08006 server "s3": courier process ended (exit status 3)', 'in a subtransaction');
is(try_sql("SELECT media_put('s3', 'after', 'abc') IS NOT NULL"), 'ok true', 'the next works');
$pid = courier_pid();
kill 'KILL', $pid;
ok(wait_gone($pid), 'killed while it had nothing to do');
is(try_sql("SELECT media_put('s3', 'after', 'abc') IS NOT NULL"), 'ok true', 'the next call starts another');

# it can't be started
unlink "$folder/mediastore-courier";
$pid = courier_pid();
kill 'KILL', $pid;
ok(wait_gone($pid), 'killed');
like(try_sql("SELECT media_get('s3', 'after')"), qr/^53000 could not start program "mediastore-courier"/, 'no program');
append_to_file("$folder/mediastore-courier", "#!/bin/sh\nexit 127\n");
chmod 0755, "$folder/mediastore-courier";
like(try_sql("SELECT media_get('s3', 'after')"), qr/^53000 courier process could not start \(exit status 127\)/, 'a program that ends at once');
copy("$FindBin::RealBin/../rogue/mediastore-courier", "$folder/mediastore-courier") or die;
chmod 0755, "$folder/mediastore-courier";
is(try_sql("SELECT media_put('s3', 'after', 'abc') IS NOT NULL"), 'ok true', 'back again');

# nothing is left
$pid = courier_pid();
is(backend_pid($session), $backend, 'the session is the same');
my @descriptors = glob("/proc/$backend/fd/*");
cmp_ok(scalar(@descriptors), '<', 60, 'descriptors were given back');
$session->quit;
ok(wait_gone($pid), 'the courier ends with its session');
unlike(slurp_file($node->logfile), qr/dontshow/, 'no secret in the log');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal.*server process|server process.*was terminated/, 'no crash');

done_testing();
