# Serving from several servers: a standby gives the answers of its primary, and
# another server never the tag of another value.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The same steps on a new server give the same OIDs to its table and its values.
sub start
{
	my ($name, $byte) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', "jit = off\nautovacuum = off\n");
	$node->start;
	$node->safe_psql(
		'postgres', qq{
		CREATE EXTENSION mediastore;
		CREATE TABLE video (id int PRIMARY KEY, data bytea);
		ALTER TABLE video ALTER data SET STORAGE external;
		INSERT INTO video SELECT 1, set_byte(string_agg(sha256(int4send(n)), '' ORDER BY n), 500000, $byte)
			FROM generate_series(1, 32768) n;
		INSERT INTO video VALUES (2, 'small'), (3, NULL);
	});
	return $node;
}

my $tag = q{SELECT headers->>'ETag' FROM video, media_serve(data, '{"method": "HEAD"}') WHERE id = 1};
my $place = q{SELECT d.oid, c.reltoastrelid FROM pg_database d, pg_class c WHERE datname = current_database() AND relname = 'video'};
my $primary = start('primary', 1);
my $other = start('other', 2);

is($other->safe_psql('postgres', $place), $primary->safe_psql('postgres', $place), 'two servers have a value at the same place');
isnt($other->safe_psql('postgres', $tag), $primary->safe_psql('postgres', $tag), 'and two tags for its two contents');
$other->stop;

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

my $first = $primary->safe_psql('postgres', $tag);
foreach my $request ('{}', '{"range": "bytes=500000-500099"}', '{"range": "bytes=-1"}', '{"method": "HEAD"}', '{"method": "PUT"}',
	'{"if-none-match": "' . $first =~ s/"/\\"/gr . '"}')
{
	my $answers = qq{SELECT id, status, headers, md5(body) FROM video, media_serve(data, '$request') ORDER BY id};
	is($standby->safe_psql('postgres', $answers), $primary->safe_psql('postgres', $answers), "a standby answers as its primary: $request");
}
is($standby->safe_psql('postgres',
		q{SELECT set_config('request.headers', '{"range": "bytes=0-1"}', false); SELECT media_postgrest(data) FROM video WHERE id = 2}),
	qq({"range": "bytes=0-1"}\n\\x736d), 'and to PostgREST');

# each way to write the table anew keeps the tag, or gives another one
$primary->safe_psql('postgres', "VACUUM FULL video");
is($primary->safe_psql('postgres', $tag), $first, 'VACUUM FULL keeps the tag');
$primary->safe_psql('postgres', "CLUSTER video USING video_pkey");
is($primary->safe_psql('postgres', $tag), $first, 'so does CLUSTER');
$primary->safe_psql('postgres', "UPDATE video SET id = 1 WHERE id = 1");
is($primary->safe_psql('postgres', $tag), $first, 'and an UPDATE of another column');
$primary->safe_psql('postgres', "UPDATE video SET data = set_byte(data, 500000, 3) WHERE id = 1");
isnt($primary->safe_psql('postgres', $tag), $first, 'another content has another');

done_testing();
