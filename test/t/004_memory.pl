# Memory: many pictures take no more than a few, and a large one's is given
# back.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = $ENV{MEDIASTORE_MEMORY_ROUNDS} || 10_000;
my $node = start_node('memory', build_folder());
my $session = $node->background_psql('postgres', on_error_stop => 0, timeout => 600);
my $picture = MediastoreTest::hex(png(64, 48));
my $backend = $session->query_safe('SELECT pg_backend_pid()');

# Compresses so many times, as one statement after the other.
sub compress
{
	my ($times) = @_;
	$session->query_safe("DO \$\$ BEGIN FOR i IN 1 .. $times LOOP
		PERFORM media_compress($picture, max_dimension => 30 + i % 10);
	END LOOP; END \$\$");
	return;
}

compress($rounds / 10);
my $codec = helper_pid($session);
my ($backend_before, $codec_before) = (resident($backend), resident($codec));
compress($rounds * 9 / 10);
my ($backend_after, $codec_after) = (resident($backend), resident($codec));
note("backend: $backend_before kB, then $backend_after kB; codec: $codec_before kB, then $codec_after kB");

is(helper_pid($session), $codec, "one codec for $rounds pictures");
is($session->query_safe('SELECT requests FROM helper()'), $rounds, 'all of them');
cmp_ok($backend_after - $backend_before, '<=', 512, 'the backend has not grown');
cmp_ok($codec_after - $codec_before, '<=', 512, 'the codec has not grown');

# nor by errors
$session->query_safe(
	"DO \$\$ BEGIN FOR i IN 1 .. $rounds / 10 LOOP
		BEGIN
			PERFORM media_compress(substr($picture, 1, 80));
		EXCEPTION WHEN invalid_binary_representation THEN
			NULL;
		END;
	END LOOP; END \$\$");
is(helper_pid($session), $codec, 'the same codec after as many refusals');
cmp_ok(resident($backend) - $backend_after, '<=', 1024, 'the backend has not grown');
cmp_ok(resident($codec) - $codec_after, '<=', 512, 'the codec has not grown');

# a picture of 20 MB that is kept at its size
$session->query_safe('CREATE TABLE large (data bytea); ALTER TABLE large ALTER data SET STORAGE external');
$session->query_safe('INSERT INTO large VALUES (' . MediastoreTest::hex(png(6000, 4000)) . ' || '
	  . "convert_to(repeat('x', 20000000), 'UTF8'))");
compress(10);
($backend_before, $codec_before) = (resident($backend), resident($codec));
is( $session->query_safe(
		'SELECT media_format(media_compress(data, max_dimension => 6000, max_bytes => 100000000, effort => 0)) FROM large'),
	'webp',
	'a large picture');
is(helper_pid($session), $codec, 'the same codec');
my ($peak) = status_of($codec, 'VmHWM') =~ /^(\d+)/;
note("codec: $codec_before kB, at most $peak kB, then " . resident($codec) . ' kB; backend: '
	  . "$backend_before kB, then " . resident($backend) . ' kB');
cmp_ok($peak, '>=', $codec_before + 60 * 1024, 'it took much memory');
cmp_ok(resident($codec), '<=', $codec_before + 40 * 1024, 'the codec has given most of its memory back');
cmp_ok(resident($backend), '<=', $backend_before + 16 * 1024, 'so has the backend');
$session->quit;

done_testing();
