# A dump carries attached columns: what is restored compresses as before.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $picture = MediastoreTest::hex(fixture('photo.webp'));
my $large = MediastoreTest::hex(fixture('photo-gray.jpg'));
my $node = PostgreSQL::Test::Cluster->new('dump');

$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "jit = off\n");
$node->start;

# another schema than public, names that need care, options of each kind
$node->safe_psql('postgres', 'CREATE DATABASE old');
$node->safe_psql('postgres', 'CREATE DATABASE new');
$node->safe_psql(
	'old', qq{
	SET client_min_messages = warning;
	CREATE SCHEMA "Media";
	CREATE EXTENSION mediastore SCHEMA "Media";
	SET search_path = public, "Media";
	CREATE TABLE users (id int PRIMARY KEY, "größe'\\x" bytea, width int GENERATED ALWAYS AS ("Media".media_width("größe'\\x")) STORED);
	CREATE TABLE parts (id int, images bytea[]) PARTITION BY RANGE (id);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
	CREATE TABLE parts_2 (images bytea[], id int);
	ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (100) TO (200);
	CREATE TABLE thing (id int, image bytea);
	CREATE TABLE thing_a () INHERITS (thing);
	CREATE TABLE off (image bytea);
	SELECT media_attach('users', 'größe''\\x', max_dimension => 40, alpha => '#ffffff');
	SELECT media_attach('parts', 'images', max_dimension => 30, max_bytes => 4000);
	SELECT media_attach('thing', 'image', max_dimension => 20);
	SELECT media_attach('off', 'image');
	ALTER TABLE off DISABLE TRIGGER ALL;
	INSERT INTO users VALUES (1, $picture), (2, NULL);
	INSERT INTO parts VALUES (1, ARRAY[$picture, NULL, $large]), (101, ARRAY[$large]);
	INSERT INTO thing VALUES (1, $picture);
	INSERT INTO thing_a VALUES (2, $large);
	INSERT INTO off VALUES ($large);
});

my $view = q{SELECT relation, column_name, is_array, options, trigger_name, enabled FROM mediastore.attached ORDER BY relation::text COLLATE "C", 2};
my $storage = q{SELECT attrelid::regclass, attname, attstorage FROM pg_attribute
	WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p'))
	AND atttypid IN ('bytea'::regtype, 'bytea[]'::regtype) ORDER BY attrelid::regclass::text COLLATE "C", attname};
my $content = q{SELECT 'users', id, md5("größe'\x"), width FROM users UNION ALL
	SELECT tableoid::regclass::text, id, md5(images::text), "Media".media_width(images[1]) FROM parts UNION ALL
	SELECT tableoid::regclass::text, id, md5(image), "Media".media_width(image) FROM thing ORDER BY 1, 2};
my $attached = $node->safe_psql('old', $view);
is(scalar(split /\n/, $attached), 5, 'columns are attached');
like($attached, qr/^users\|größe'\\x\|f\|\{max_dimension=40,alpha=#ffffff\}\|media_compress_größe'\\x\|t$/m,
	'with a name and options that need care');
my $rows = $node->safe_psql('old', $content);
like($rows, qr/^parts_1\|1\|.*\|30$/m, 'and compress');

my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '--no-sync', '-f', $dump, $node->connstr('old') ], 'pg_dump');
like(slurp_file($dump),
	qr/CREATE TRIGGER media_compress_images BEFORE INSERT OR UPDATE OF images ON public\.parts FOR EACH ROW EXECUTE FUNCTION "Media"\.media_compress_trigger\('images', 'max_dimension=30', 'max_bytes=4000'\);/,
	'the dump has ordinary triggers');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('new') ], 'restore');

is($node->safe_psql('new', $view), $attached, 'the same columns are attached');
is($node->safe_psql('new', $storage), $node->safe_psql('old', $storage), 'the storage is the same');
is($node->safe_psql('new', $content), $rows, 'the rows are the same');

# it still compresses: the same pictures once more
$node->safe_psql(
	'new', qq{
	TRUNCATE users, parts, thing;
	INSERT INTO users VALUES (1, $picture), (2, NULL);
	INSERT INTO parts VALUES (1, ARRAY[$picture, NULL, $large]), (101, ARRAY[$large]);
	INSERT INTO thing VALUES (1, $picture);
	INSERT INTO thing_a VALUES (2, $large);
	CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (200) TO (300);
	INSERT INTO off VALUES ($large);
});
is($node->safe_psql('new', $content), $rows, 'what is inserted again is compressed as before');
is($node->safe_psql('new', 'SELECT DISTINCT "Media".media_format(image) FROM off'), 'jpeg', 'what was disabled is');
$node->safe_psql('new', "INSERT INTO parts VALUES (201, ARRAY[$large])");
is($node->safe_psql('new', 'SELECT "Media".media_format(images[1]), "Media".media_width(images[1]) FROM parts_3'),
	'webp|30', 'a new partition is attached');

# rows alone go into tables that are attached already, and stay what they are
my $data = $node->basedir . '/data.sql';
$node->command_ok([ 'pg_dump', '--no-sync', '--data-only', '-t', 'users', '-f', $data, $node->connstr('old') ], 'pg_dump of rows');
$node->safe_psql('new', 'TRUNCATE users');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', $data, $node->connstr('new') ], 'restore of rows');
my $bytes = q{SELECT md5("größe'\x") FROM users ORDER BY id};
is($node->safe_psql('new', $bytes), $node->safe_psql('old', $bytes), 'they are byte for byte the same');

# the arguments are read in the database's encoding
my ($status, $out, $error) = $node->psql('new', q{SELECT mediastore.trigger_arguments('\xff00')});
like($error, qr/invalid byte sequence for encoding "UTF8"/, 'arguments that are no text are refused');

# a detached column is gone from the next dump
$node->safe_psql('new', q{SELECT "Media".media_detach('parts', 'images')});
$node->command_ok([ 'pg_dump', '--no-sync', '--schema-only', '-f', $dump, $node->connstr('new') ], 'pg_dump again');
unlike(slurp_file($dump), qr/TRIGGER media_compress_images/, 'a detached column has no trigger in it');

$node->stop;
done_testing();
