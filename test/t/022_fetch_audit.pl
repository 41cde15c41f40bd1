# Values that were moved to a store, got back and served by their rows; and
# whether a store has what it should have: with a folder, and with a real S3
# server, at which another client has laid hands on what is there.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use File::Basename;
use File::Path qw(make_path);
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use lib $FindBin::RealBin;
use MediastoreStores;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('audit');

$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf(
	'postgresql.conf', q{
jit = off
shared_preload_libraries = 'mediastore'
mediastore.delete_grace = 0
mediastore.private_networks = on
});
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION mediastore;
	CREATE ROLE owner;
	CREATE ROLE reader;
	GRANT CREATE ON SCHEMA public TO owner;
	GRANT EXECUTE ON FUNCTION media_fetch, media_serve_row TO reader;
	CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		result text;
	BEGIN
		EXECUTE statement INTO result;
		RETURN coalesce(result, 'null');
	EXCEPTION WHEN OTHERS THEN
		RETURN SQLSTATE || ' ' || SQLERRM;
	END $$;
});

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub as { return sql("SET ROLE $_[0]; $_[1]") }

sub drain { return sql("CALL media_drain('60 s')") }

# Some bytes, too many for the row; different for each name.
sub bytes
{
	my ($name) = @_;
	return join '', map { pack 'H*', sha256_hex($name . $_) } 1 .. 300;
}

sub sum_of { return "encode(sha256($_[0]), 'hex')" }

sub push_trigger
{
	my ($table, $column, $server, $options) = @_;
	return qq{
		CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, $column ON $table FOR EACH ROW
			EXECUTE FUNCTION media_push_trigger('$column', 'server=$server'$options);
		GRANT SELECT ON $table TO reader;};
}

# What curl gets: the status and the body's SHA-256.
sub curl
{
	my ($url, @options) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/answer';
	my ($status, $error) = run_command([ 'curl', '-s', '-o', $file, '-w', '%{http_code}', @options, $url ]);

	return $status . ' ' . (-e $file ? sha256_hex(slurp_file($file)) : '');
}

# An answer's status, headers and the body's SHA-256.
sub serve
{
	my ($role, $row, $request) = @_;
	my $answer = as($role, "SELECT (r).status || ' ' || COALESCE(" . sum_of('(r).body') . ", '') || ' ' || (r).headers::text FROM (SELECT media_serve_row($row, '"
		  . encode_json($request // {}) . "') AS r FROM " . ($row =~ /ROW/ ? '(VALUES (1)) AS v' : ($row =~ /^(\w+)/)[0] . ' WHERE id = 1') . ') AS a');
	my ($status, $sum, $headers) = $answer =~ /^(\d+) (\w*) (.*)$/;
	return ($status, $sum, { map { lc $_->[0] => $_->[1] } map { my $h = $_; map { [ $_, $h->{$_} ] } keys %$h } decode_json($headers) });
}

# ---------------------------------------------------------------- getting back

my $picture = fixture('photo-gray.jpg');

# Of a server whose objects are given by $look as key => SHA-256.
sub check_fetch
{
	my ($server, $look) = @_;
	my @bytes = map { bytes("$server $_") } 0 .. 6;

	as('owner', qq{
		CREATE TABLE kept_$server (id int PRIMARY KEY, data bytea);
		CREATE TABLE moved_$server (id int PRIMARY KEY, data bytea, url text);
		CREATE TABLE small_$server (id int PRIMARY KEY, data bytea);
		CREATE TABLE album_$server (id int PRIMARY KEY, data bytea[]);}
		  . push_trigger("kept_$server", 'data', $server, '')
		  . push_trigger("moved_$server", 'data', $server, q{, 'offload=null'})
		  . push_trigger("small_$server", 'data', $server, q{, 'offload=thumbnail'})
		  . push_trigger("album_$server", 'data', $server, q{, 'offload=null'}));
	as('owner', "INSERT INTO kept_$server VALUES (1, " . hex($bytes[0]) . ');'
		  . "INSERT INTO moved_$server VALUES (1, " . hex($bytes[1]) . '), (2, ' . hex($bytes[2]) . '), (3, NULL);'
		  . "INSERT INTO small_$server VALUES (1, " . hex($picture) . ');'
		  . "INSERT INTO album_$server VALUES (1, ARRAY[" . hex($bytes[3]) . ', NULL, ' . hex($bytes[4]) . '])');
	drain();
	is_deeply({ map { (/([0-9a-f]{64})/)[0] => $_ } values %{ { $look->() } } },
		{ map { $_ => $_ } map { sha256_hex($_) } @bytes[ 0 .. 4 ], $picture }, "$server: all is there");
	is(sql("SELECT count(*) FILTER (WHERE data IS NULL), count(*) FROM moved_$server"), '3|3', "$server: and not in the rows");

	is(as('reader', 'SELECT ' . sum_of("media_fetch(k, 'data')") . " FROM kept_$server AS k"), sha256_hex($bytes[0]), "$server: a value that the row holds");
	is(as('reader', 'SELECT ' . sum_of("media_fetch(m, 'data')") . " FROM moved_$server AS m ORDER BY id"),
		sha256_hex($bytes[1]) . "\n" . sha256_hex($bytes[2]) . "\n", "$server: values that were moved, and none");
	is(as('reader', "SELECT media_format(data), media_width(data) <= 256, length(data) < " . length($picture) . ', ' . sum_of("media_fetch(s, 'data')") . " FROM small_$server AS s"),
		'webp|t|t|' . sha256_hex($picture), "$server: what a thumbnail stands for");
	is(as('reader', 'SELECT ' . join(', ', map { "COALESCE(" . sum_of("media_fetch(a, 'data', $_)") . ", 'null')" } 1 .. 4) . " FROM album_$server AS a"),
		join('|', sha256_hex($bytes[3]), 'null', sha256_hex($bytes[4]), 'null'), "$server: elements of an array");
	like(as('reader', "SELECT try(\$\$SELECT media_fetch(a, 'data') FROM album_$server AS a\$\$)"), qr/^22\w{3} /, "$server: not all at once");

	# who sees the row sees the value, and nobody else
	like(as('reader', qq{SELECT try(\$\$SELECT media_get('$server', 'x')\$\$)}), qr/^42501 /, "$server: the reader may not speak to the store");
	as('owner', "ALTER TABLE moved_$server ENABLE ROW LEVEL SECURITY; CREATE POLICY one ON moved_$server FOR SELECT TO reader USING (id <> 2)");
	is(as('reader', "SELECT string_agg(id || ' ' || COALESCE(" . sum_of("media_fetch(m, 'data')") . ", 'null'), ', ' ORDER BY id) FROM moved_$server AS m"),
		'1 ' . sha256_hex($bytes[1]) . ', 3 null', "$server: rows that policies show");
	is(as('reader', "SELECT media_fetch(ROW(2, NULL, NULL)::moved_$server, 'data') IS NULL"), 't', "$server: nothing of those they do not, by a made-up row");
	is(as('reader', "SELECT media_fetch(ROW(2, 'x', 'y')::moved_$server, 'data') = 'x'"), 't', "$server: but what is in that row itself");
	is(as('reader', "SELECT media_fetch(ROW(77, NULL, NULL)::moved_$server, 'data') IS NULL"), 't', "$server: nor of one that is nowhere");
	my ($status) = serve('reader', "ROW(2, NULL, NULL)::moved_$server, 'data'");
	is($status, 404, "$server: nor is it served");
	as('owner', "REVOKE SELECT ON moved_$server FROM reader");
	like(as('reader', "SELECT try(\$\$SELECT media_fetch(ROW(1, NULL, NULL)::moved_$server, 'data')\$\$)"), qr/^42501 /, "$server: without SELECT, nothing");
	as('owner', "GRANT SELECT ON moved_$server TO reader; ALTER TABLE moved_$server DISABLE ROW LEVEL SECURITY");

	# a row's newer value is its own
	is(sql("BEGIN; UPDATE moved_$server SET data = 'newer' WHERE id = 2; SELECT media_fetch(m, 'data') = 'newer' FROM moved_$server AS m WHERE id = 2; COMMIT"), 't',
		"$server: a newer value that is not pushed yet");
	return;
}

sub check_answers
{
	my ($server) = @_;
	my ($status, $sum, $headers) = serve('reader', "kept_$server, 'data'");
	my $etag = $headers->{etag};

	is("$status $sum", '200 ' . as('reader', 'SELECT ' . sum_of('data') . " FROM kept_$server"), "$server: a value that the row holds is served");
	($status, $sum) = serve('reader', "kept_$server, 'data'", { 'if-none-match' => $etag });
	is("$status $sum", '304 ', "$server: 304");
	($status, $sum, $headers) = serve('reader', "moved_$server, 'data'", { method => 'DELETE' });
	is("$status $headers->{allow}", '405 GET, HEAD', "$server: 405");
	ok(!exists $headers->{location}, "$server: without an address");
	($status) = serve('reader', "ROW(3, NULL, NULL)::moved_$server, 'data'");
	is($status, 404, "$server: 404 of a row without a value");
	return;
}

# A value that was moved is served by an address that anybody can follow.
sub check_redirect
{
	my ($server, $content, $address) = @_;
	my ($status, $sum, $headers) = serve('reader', "moved_$server, 'data'");

	is("$status $sum", '302 ', "$server: one that was moved is served by a redirect");
	like($headers->{location}, $address, "$server: there");
	is(curl($headers->{location}), '200 ' . sha256_hex($content), "$server: that curl follows");
	like(curl($headers->{location} =~ s/moved_/kept_/r), qr/^403 /, "$server: and is signed for that alone") if $headers->{location} =~ /Signature=/;
	($status, $sum, $headers) = serve('reader', "moved_$server, 'data'", { method => 'HEAD' });
	is($status, 302, "$server: HEAD, too");
	like(curl($headers->{location}, '-I'), qr/^200 /, "$server: and follows");
	($status) = serve('reader', "moved_$server, 'data'", { 'if-none-match' => '"' . substr(sha256_hex($content), 0, 32) . '"' });
	is($status, 304, "$server: 304 by its content");
	return;
}

# ---------------------------------------------------------------- audit

sub audit
{
	my ($server, $repair) = @_;
	return sql(qq{SELECT string_agg(concat_ws(' ', finding, CASE WHEN row_key IS NULL THEN key ELSE relation::text || row_key::text END, CASE WHEN repaired THEN 'repaired' END), E'\\n'
		ORDER BY finding COLLATE "C", row_key, key COLLATE "C") FROM mediastore.audit('$server', } . ($repair ? 'true' : 'false') . ')');
}

sub check_audit
{
	my ($server, $look, $put, $remove) = @_;
	my @bytes = map { bytes("$server audited $_") } 0 .. 6;
	my @keys = map { "audited_$server/" . sha256_hex($_) . '.bin' } @bytes;
	my $lost = sql("SELECT o.key FROM mediastore.object o JOIN mediastore.attachment a ON a.object = o.id WHERE a.relation = 'moved_$server'::regclass AND a.row_key = '{1}'");

	as('owner', "CREATE TABLE audited_$server (id int PRIMARY KEY, data bytea);" . push_trigger("audited_$server", 'data', $server, ''));
	drain();
	is(audit($server), '', "$server: all is as it should be");
	as('owner', "INSERT INTO audited_$server VALUES " . join ', ', map { "($_, " . hex($bytes[$_]) . ')' } 0 .. 6);
	drain();
	is(audit($server), '', "$server: ... and after more was pushed");

	# all that is wrong
	$remove->($keys[1]);
	$put->($keys[2], 'something else');
	$put->($keys[3], 'x' x length $bytes[3]) if $server ne 'files';
	$put->("audited_$server/beside", 'of somebody else');
	$remove->($lost);
	# rows that are gone without their triggers; and nobody knows any more
	sql("SET session_replication_role = replica; DELETE FROM audited_$server WHERE id IN (4, 5)");
	sql("WITH gone AS (DELETE FROM mediastore.attachment WHERE relation = 'audited_$server'::regclass AND row_key = '{5}' RETURNING object)
		DELETE FROM mediastore.object USING gone WHERE id = gone.object");
	sql("WITH gone AS (DELETE FROM mediastore.attachment WHERE relation = 'audited_$server'::regclass AND row_key = '{6}' RETURNING object)
		SELECT object FROM gone");
	sql("SET session_replication_role = replica; DELETE FROM audited_$server WHERE id = 6");
	# its age is told in whole seconds
	usleep(1_100_000);
	my @wrong = (
		"differs audited_$server\{2}", ($server eq 'files' ? () : "differs audited_$server\{3}"), "foreign audited_$server/beside",
		"missing audited_$server\{1}", "missing moved_$server\{1}", "orphan $keys[5]", "row gone audited_$server\{4}", "unreferenced $keys[6]");
	my %before = $look->();

	# places of several tables are in the order of their keys
	is_deeply([ sort split /\n/, audit($server) ], [ sort @wrong ], "$server: what is wrong is found");
	is_deeply({ $look->() }, \%before, "$server: and left as it is");
	like(sql("SELECT detail FROM mediastore.audit('$server') WHERE finding = 'missing' AND relation = 'moved_$server'::regclass"), qr/the bytes are lost/, "$server: what is lost is told");
	like(as('reader', "SELECT try(\$\$SELECT media_fetch(m, 'data') FROM moved_$server AS m WHERE id = 1\$\$)"), qr/^42704 /, "$server: and cannot be got");

	# no right to repair
	sql("GRANT EXECUTE ON FUNCTION mediastore.audit TO owner");
	like(as('owner', "SELECT try(\$\$SELECT count(*) FROM mediastore.audit('$server', true)\$\$)"), qr/^42501 must be owner/, "$server: only the server's owner repairs");
	is(as('owner', "SELECT count(*) FROM mediastore.audit('$server')"), scalar @wrong, "$server: USAGE is enough to look");

	is_deeply([ sort split /\n/, audit($server, 1) ], [ sort map { /^foreign|moved/ ? $_ : "$_ repaired" } @wrong ], "$server: repaired");
	drain();
	is_deeply([ sort split /\n/, audit($server) ], [ "foreign audited_$server/beside", "missing moved_$server\{1}" ], "$server: but for what cannot be and what is not ours");
	my %after = $look->();
	is_deeply({ map { $_ => $after{$_} } grep { /^audited_/ } keys %after },
		{ (map { $keys[$_] => sha256_hex($bytes[$_]) } 0 .. 3), "audited_$server/beside" => sha256_hex('of somebody else') }, "$server: the store has what the rows say");

	# somebody finds the lost one, and takes his own away
	$put->($lost, bytes("$server 1"));
	$remove->("audited_$server/beside");
	my $rest = audit($server);
	is($rest, '', "$server: all is as it should be again");
	is(as('reader', 'SELECT ' . sum_of("media_fetch(m, 'data')") . " FROM moved_$server AS m WHERE id = 1"), sha256_hex(bytes("$server 1")), "$server: and can be got");

	# what is overwritten is not passed off as the row's
	$put->($lost, 'y' x length bytes("$server 1"));
	like(as('reader', "SELECT try(\$\$SELECT media_fetch(m, 'data') FROM moved_$server AS m WHERE id = 1\$\$)"), qr/^XX001 /, "$server: what was overwritten is not given out");
	return;
}

# ---------------------------------------------------------------- stores of files

my $root = PostgreSQL::Test::Utils::tempdir();
my $served = PostgreSQL::Test::Utils::tempdir();

sql(qq{
	CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '$root');
	GRANT USAGE ON FOREIGN SERVER files TO owner;
});

sub put_file
{
	my ($folder, $key, $content) = @_;
	make_path(dirname("$folder/$key"));
	open my $file, '>:raw', "$folder/$key" or die "$key: $!";
	print $file $content;
	close $file or die "$key: $!";
	return;
}

check_fetch('files', sub { file_objects($root) });
check_answers('files');
my ($status, $sum, $headers) = serve('reader', "moved_files, 'data'");
is("$status $sum", '200 ' . sha256_hex(bytes('files 1')), 'files: what nobody else serves is served from here');
($status, $sum) = serve('reader', "moved_files, 'data'", { range => 'bytes=0-9' });
is("$status $sum", '206 ' . sha256_hex(substr bytes('files 1'), 0, 10), 'files: a part of it, too');
check_audit('files', sub { file_objects($root) }, sub { put_file($root, @_) }, sub { unlink "$root/$_[0]" or die });

SKIP:
{
	skip 'curl or python3 is not installed', 1 if system('command -v curl >/dev/null && command -v python3 >/dev/null') != 0;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $pid = fork // die "fork: $!";
	my $tries = 0;

	if ($pid == 0)
	{
		open STDOUT, '>', '/dev/null' or die;
		open STDERR, '>', '/dev/null' or die;
		exec 'python3', '-m', 'http.server', $port, '--bind', '127.0.0.1', '--directory', $served or POSIX::_exit(1);
	}
	usleep(50_000) while ++$tries < 200 && !HTTP::Tiny->new->get("http://127.0.0.1:$port/")->{success};
	sql(qq{
		CREATE SERVER served TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '$served', public_url 'http://127.0.0.1:$port', prefix 'a b/');
		GRANT USAGE ON FOREIGN SERVER served TO owner;
	});
	eval {
		check_fetch('served', sub { file_objects($served) });
		check_answers('served');
		check_redirect('served', bytes('served 1'), qr{^http://127\.0\.0\.1:$port/a%20b/moved_served/});
	};
	my $error = $@;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	die $error if $error ne '';
}

# ---------------------------------------------------------------- a real S3 server

SKIP:
{
	my $missing = s3_missing();
	skip "$missing not installed", 1 if $missing ne '';
	my $endpoint = start_s3('audit') // skip 'the S3 server did not start', 1;

	sql(qq{
		CREATE SERVER s3 TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'audit', endpoint '$endpoint', path_style 'true');
		CREATE USER MAPPING FOR owner SERVER s3 OPTIONS (access_key_id '${\S3_KEY}', secret_access_key '${\S3_SECRET}');
		CREATE USER MAPPING FOR CURRENT_USER SERVER s3 OPTIONS (access_key_id '${\S3_KEY}', secret_access_key '${\S3_SECRET}');
		GRANT USAGE ON FOREIGN SERVER s3 TO owner;
	});
	check_fetch('s3', sub { s3_objects($endpoint, 'audit') });
	check_answers('s3');
	check_redirect('s3', bytes('s3 1'), qr/[?&]X-Amz-Signature=[0-9a-f]{64}/);
	check_audit('s3', sub { s3_objects($endpoint, 'audit') },
		sub { MediastoreStores::listing($endpoint, 'audit', 'put', $_[0], unpack 'H*', $_[1]) }, sub { MediastoreStores::listing($endpoint, 'audit', 'delete', @_) });
	unlike(slurp_file($node->logfile), qr/\Q${\S3_SECRET}\E.*\Q${\S3_SECRET}\E|X-Amz-Signature/, 'no secret and no signed address in the log');
}

$node->stop;
done_testing();
