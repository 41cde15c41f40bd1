# Rows and objects stay of one mind where it is not known what a store has done,
# and no picture is given up that nothing else has (R13, R14, R15, R17).
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FindBin;
use lib $FindBin::RealBin;
use HTTP::Tiny;
use MediastoreStores;
use MediastoreTest qw(hex);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

plan skip_all => 'python3 is not installed' if faults_missing();

my $node = PostgreSQL::Test::Cluster->new('consistency');
my $faults = start_faults();
my $folder = PostgreSQL::Test::Utils::tempdir();
my $second = PostgreSQL::Test::Utils::tempdir();

$node->init;
$node->append_conf('postgresql.conf', q{
	shared_preload_libraries = 'mediastore'
	mediastore.delete_grace = 0
	mediastore.private_networks = on
	mediastore.max_attempts = 5
	wal_writer_delay = '10s'
	wal_writer_flush_after = '1GB'
});
$node->start;
sql(qq{
	CREATE EXTENSION mediastore;
	CREATE SERVER s3 TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'b', endpoint '$faults', region 'us-east-1', path_style 'true');
	CREATE SERVER once TYPE 's3' FOREIGN DATA WRAPPER mediastore
		OPTIONS (bucket 'b', endpoint '$faults', region 'us-east-1', path_style 'true', if_none_match 'true', prefix 'once/');
	CREATE USER MAPPING FOR PUBLIC SERVER s3 OPTIONS (access_key_id 'key', secret_access_key 'secret');
	CREATE USER MAPPING FOR PUBLIC SERVER once OPTIONS (access_key_id 'key', secret_access_key 'secret');
	CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '$folder', public_url 'https://files.example.com');
	CREATE SERVER others TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '$second', public_url 'https://others.example.com');
});

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub drain { return sql("CALL media_drain('60 s')") }

sub is_soon
{
	my ($query, $wanted, $name) = @_;

	return is(soon($node, $query, $wanted), $wanted, $name);
}

# Until all that was committed is in the books.
sub folded { return soon($node, 'SELECT count(*) FROM mediastore.change', 0) }

sub table
{
	my ($name, $server, $options, $type) = @_;

	$type //= 'bytea';
	sql(qq{CREATE TABLE $name (id text PRIMARY KEY, data $type, url text} . ($type eq 'bytea[]' ? '[]' : '') . qq{);
		CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON $name FOR EACH ROW
			EXECUTE FUNCTION media_push_trigger('data', 'server=$server'$options)});
	return;
}

my %at_s3;
sub at_s3 { %at_s3 = stored_at_faults($faults); return $at_s3{"b/$_[0]"}->{sha256} // 'nothing' }

# --- a deletion that was done, though it seems to have failed -------------

table('again', 's3', ", 'key=again/{sha256}'");
sql(q{INSERT INTO again VALUES ('1', 'same')});
drain();
my $key = 'again/' . sha256_hex('same');
is(at_s3($key), sha256_hex('same'), 'an object is there');
rules($faults, { fault => 'close', method => 'DELETE' });
sql('DELETE FROM again');
is_soon(q{SELECT count(*) FROM mediastore.object WHERE state = 'deleting' AND attempts > 0 AND lease_until IS NULL}, 1, 'its deletion fails');
is(at_s3($key), 'nothing', 'though it was done');
sql(q{INSERT INTO again VALUES ('2', 'same')});
folded();
rules($faults);
drain();
is(at_s3($key), sha256_hex('same'), 'R14 a row that comes then has it put again');

# --- keys that do not name their content ----------------------------------

table('named', 's3', ", 'key=named/{pk}'");
sql(q{INSERT INTO named VALUES ('1', 'old')});
drain();
sql(q{SELECT media_pause('s3'); UPDATE named SET data = 'new'});
folded();
sql('DELETE FROM named');
folded();
sql(q{INSERT INTO named VALUES ('1', 'new')});
folded();
sql(q{SELECT media_resume('s3')});
drain();
is(at_s3('named/1'), sha256_hex('new'), 'R15 what was to be put, deleted and put again is put');

# one by the name of what a row has given up
table('mine', 's3', ", 'url_column=url', 'offload=null', 'key=mine/{sha256}'");
sql(q{INSERT INTO mine VALUES ('1', 'my only copy')});
drain();
is(sql('SELECT data IS NULL FROM mine'), 't', 'a row gives its bytes up');
table('forged', 's3', ", 'key=mine/{pk}'");
$key = 'mine/' . sha256_hex('my only copy');
sql(q{INSERT INTO forged VALUES ('} . sha256_hex('my only copy') . q{', 'forged')});
folded();
is_soon(q{SELECT count(*) FROM mediastore.object WHERE state <> 'stored'}, 0, 'nothing is to be done');
is(at_s3($key), sha256_hex('my only copy'), 'R17 no other content takes their place');

# --- answers that are none ------------------------------------------------

rules($faults, { fault => 'error', method => 'PUT', status => 404, code => 'NoSuchKey', count => 1 });
table('absent', 's3', ", 'url_column=url', 'offload=null'");
sql(q{INSERT INTO absent VALUES ('1', 'is it there?')});
drain();
rules($faults);
is(sql(q{SELECT state, data IS NOT NULL FROM absent, mediastore.object WHERE sha256 = sha256(data)}), 'dead|t',
	'what answers a PUT with "no such key" does not have it');
sql('TRUNCATE absent; DROP TABLE absent');
drain();

# if_none_match: something is there
table('once', 'once', ", 'url_column=url', 'offload=null', 'key={sha256}'");
$key = sha256_hex('whole');
ok(HTTP::Tiny->new->put("$faults/b/once/$key", { content => 'wh' })->{success}, 'half of an object is there');
sql(q{INSERT INTO once VALUES ('1', 'whole')});
drain();
is(at_s3("once/$key"), $key, 'it is not taken for the object');
$key = sha256_hex('complete');
ok(HTTP::Tiny->new->put("$faults/b/once/$key", { content => 'complete', headers => { 'x-amz-meta-sha256' => $key } })->{success}, 'all of another');
sql(q{INSERT INTO once VALUES ('2', 'complete')});
drain();
is(sql('SELECT count(*) FROM once WHERE data IS NULL'), 2, 'both are known to be there');
is(join(' ', map { "$_->{method} $_->{status}" } requests_for($faults, qr/^once\/$key/)), 'PUT 200 PUT 412 HEAD 200', 'which is not put again');

# --- a row whose object is another by the time it is told -----------------

table('renamed', 'files', ", 'url_column=url', 'offload=null', 'key={uuid}'");
table('filler', 's3', '');
sql(q{SELECT media_pause('files'), media_pause('s3')});
sql(q{INSERT INTO renamed VALUES ('1', 'precious')});
folded();
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; SELECT 1 FROM renamed FOR UPDATE');
sql(q{SELECT media_resume('files')});
is_soon(q{SELECT state FROM mediastore.object WHERE server = 'files'}, 'stored', 'its object is stored, and the row is locked');
$session->query_safe(q{
	INSERT INTO filler SELECT i, i::text::bytea FROM generate_series(1, 7000) i;
	UPDATE renamed SET data = 'less';
	UPDATE renamed SET data = 'precious';
	COMMIT});
$session->quit;
folded();
sql('DROP TABLE filler');
sql(q{SELECT media_resume('s3')});
drain();
is(sql(q{SELECT string_agg(state, ' ') FROM mediastore.object WHERE server = 'files'}), 'stored', 'the new one is stored');
is_deeply([ values %{ { file_objects($folder) } } ], [ sha256_hex('precious') ], 'R17 and has what the row has given up');
is(sql('SELECT data IS NULL FROM renamed'), 't', 'which it has');
sql('DROP TABLE renamed');
drain();

# --- what an owner's trigger does when a row is told ----------------------

table('log', 'files', ", 'key=log/{pk}'");
table('logged', 'files', ", 'url_column=url', 'key=logged/{pk}'");
sql(q{
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.log VALUES (NEW.id, 'noted') ON CONFLICT DO NOTHING;
		UPDATE public.logged SET data = 'changed' WHERE id = 'other' AND NEW.id <> 'other';
		RETURN NULL; END $$;
	CREATE TRIGGER note AFTER UPDATE OF url ON logged FOR EACH ROW EXECUTE FUNCTION note();
	INSERT INTO logged VALUES ('other', 'before')});
drain();
sql(q{INSERT INTO logged VALUES ('told', 'x')});
is_soon(q{SELECT count(*) FROM log}, 2, 'an owner\'s trigger writes to other rows');
drain();
is_deeply({ file_objects($folder) }, { 'log/other' => sha256_hex('noted'), 'log/told' => sha256_hex('noted'),
		'logged/told' => sha256_hex('x'), 'logged/other' => sha256_hex('changed') }, 'R12 which are pushed as any');
sql('DROP TABLE logged; DROP TABLE log');
drain();

# --- thumbnails are not pictures ------------------------------------------

my $picture = slurp_file("$FindBin::RealBin/../data/photo-jpeg.tif");
table('small', 'files', ", 'url_column=url', 'offload=thumbnail', 'key={sha256}'");
sql(q{INSERT INTO small VALUES ('1', } . hex($picture) . ')');
drain();
is(sql('SELECT offloaded FROM mediastore.attachment WHERE relation = \'small\'::regclass'), 't', 'a row has a thumbnail');
sql(q{DROP TRIGGER push ON small;
	SELECT FROM media_attach('small', 'data', server => 'others', url_column => 'url', offload => 'thumbnail', key => '{sha256}');
	CALL media_push_existing('small', 'data')});
drain();
is_deeply([ values %{ { file_objects($folder) } } ], [ sha256_hex($picture) ], 'R17 another server does not get it instead of the picture');
is_deeply({ file_objects($second) }, {}, 'it gets nothing');
sql('DROP TABLE small');
drain();

my $other = slurp_file("$FindBin::RealBin/../data/photo-gray.jpg");
table('album', 'files', ", 'url_column=url', 'offload=thumbnail', 'key={sha256}'", 'bytea[]');
sql(q{INSERT INTO album VALUES ('1', ARRAY[} . hex($picture) . ', ' . hex($other) . '])');
drain();
is(sql('SELECT count(*) FROM mediastore.attachment WHERE offloaded AND relation = \'album\'::regclass'), 2, 'an array has thumbnails');
my ($result, $output, $error) = $node->psql('postgres', '\set VERBOSITY sqlstate
	UPDATE album SET data = data[2:2]');
like($error, qr/0A000/, 'R17 they cannot be moved');
sql('UPDATE album SET data = data || ' . hex('added') . '::bytea');
is_soon(q{SELECT last_error IS NOT NULL FROM mediastore.object WHERE sha256 = sha256('added')}, 't', 'one that is no picture is said to be none');
sql(q{UPDATE album SET data[3] = } . hex(slurp_file("$FindBin::RealBin/../data/photo.bmp")));
drain();
is(sql('SELECT cardinality(url), array_position(url, NULL) FROM album'), '3|', 'one that is added has its URL');
is(sql('SELECT count(*) FROM mediastore.attachment WHERE offloaded AND relation = \'album\'::regclass'), 3, 'and a thumbnail');
is(scalar(keys %{ { file_objects($folder) } }), 3, 'and all pictures are there');
sql('DELETE FROM album');
drain();

# --- a copy of this cluster, at an earlier time ---------------------------

sql(q{UPDATE mediastore.store SET timeline = timeline - 1 WHERE server = 's3'});
sql(q{INSERT INTO named VALUES ('2', 'older?'); INSERT INTO again VALUES ('4', 'the same everywhere')});
drain();
is(at_s3('again/' . sha256_hex('the same everywhere')), sha256_hex('the same everywhere'), 'R31 after a recovery what names its content is put');
is(at_s3('named/2'), 'nothing', 'R31 but nothing that may be over newer content');
sql(q{SELECT media_adopt('s3')});
drain();
is(at_s3('named/2'), sha256_hex('older?'), 'R31 until the store is adopted');

# --- a server that is gone -------------------------------------------------

sql(q{CREATE SERVER gone TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '/nonexistent')});
table('gone', 'gone', '');
sql(q{INSERT INTO gone VALUES ('1', 'x')});
is_soon(q{SELECT last_error IS NOT NULL FROM mediastore.store WHERE server = 'gone'}, 't', 'a store does not work');
is(sql(q{SELECT media_discard(id) FROM mediastore.object WHERE server = 'gone'}), 'f', 'what waits for it waits');
sql('DROP TABLE gone; DROP SERVER gone');
folded();
is(sql(q{SELECT bool_and(media_discard(id)) FROM mediastore.object WHERE server = 'gone'}), 't', 'and can be forgotten when the server is gone');
drain();

# --- columns that change names ---------------------------------------------

sql(q{CREATE TABLE names (id int PRIMARY KEY, a bytea, b bytea);
	SELECT FROM media_attach('names', 'a', server => 'files', key => 'names/{sha256}', offload => 'null');
	SELECT FROM media_attach('names', 'b', server => 'files', key => 'names/{sha256}', offload => 'null');
	DROP TRIGGER media_compress_a ON names; DROP TRIGGER media_compress_b ON names;
	INSERT INTO names VALUES (1, 'a', 'b')});
drain();
sql('ALTER TABLE names RENAME a TO c; ALTER TABLE names RENAME b TO a; ALTER TABLE names RENAME c TO b');
($result, $output, $error) = $node->psql('postgres', q{\set VERBOSITY sqlstate
	SELECT FROM media_attach('names', 'b', server => 'files', key => 'names/{sha256}', offload => 'null')});
like($error, qr/55000/, 'R17 a column does not get what another one has at the store');
sql(q{ALTER TABLE names RENAME a TO c;
	SELECT FROM media_attach('names', 'c', server => 'files', key => 'names/{sha256}', offload => 'null');
	SELECT FROM media_attach('names', 'b', server => 'files', key => 'names/{sha256}', offload => 'null')});
drain();
is(sql(q{SELECT string_agg(a.column_name || ' ' || (o.sha256 = sha256('a'))::text, ',' ORDER BY a.column_name)
	FROM mediastore.attachment a JOIN mediastore.object o ON o.id = a.object WHERE a.relation = 'names'::regclass}), 'b true,c false', 'each keeps its own');
is(scalar(grep { /^names\// } keys %{ { file_objects($folder) } }), 2, 'at the store');
sql('DROP TABLE names');
drain();

# --- a row that would be in the way of all others -------------------------

my $long = join '', map { sha256_hex($_) } 1 .. 41;
($result, $output, $error) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nINSERT INTO again VALUES ('$long', 'x')");
like($error, qr/54000/, 'R16 a key too long to be folded is refused');
sql("INSERT INTO again VALUES ('3', 'y')");
drain();
is(at_s3('again/' . sha256_hex('y')), sha256_hex('y'), 'and others are put');

# --- a courier that does not answer ---------------------------------------

$node->append_conf('postgresql.conf', 'mediastore.transfer_timeout = 1s');
$node->reload;
rules($faults, { fault => 'hang', method => 'PUT', count => 1 });
sql(q{INSERT INTO again VALUES ('5', 'stopped')});
is_soon(q{SELECT lease_until IS NOT NULL FROM mediastore.object WHERE sha256 = sha256('stopped')}, 't', 'a transfer is under way');
my $courier = courier_pid($node);
kill 'STOP', $courier;
rules($faults);
is_soon(q{SELECT state FROM mediastore.object WHERE sha256 = sha256('stopped')}, 'stored', 'R16 another courier does it');
isnt(courier_pid($node) // 0, $courier, 'this one is killed');
$node->append_conf('postgresql.conf', 'mediastore.transfer_timeout = 10min');
$node->reload;

# --- what a crash takes back ----------------------------------------------

table('crashed', 'files', '');
sql(q{INSERT INTO crashed VALUES ('1', 'kept')});
drain();
sql(q{SET synchronous_commit = off; DELETE FROM crashed});
for (1 .. 1000)
{
	last unless %{ { file_objects($folder) } };
	usleep(5_000);
}
is_deeply({ file_objects($folder) }, {}, 'an object is deleted');
$node->stop('immediate');
$node->start;
is(sql('SELECT count(*) FROM crashed'), 0, 'R13 and so is its row, for good');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'no crash');

$node->stop('fast');
done_testing();
