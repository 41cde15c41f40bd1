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
my $backend = backend_pid($session);

# A mix of all the ways through the codec, so that what any of them forgets
# shows: every format, colour space and error.
my @mix;

sub mix
{
	my ($fine, @pictures) = @_;
	push @mix, map { { fine => $fine, data => $_ } } @pictures;
	return;
}

# the smallest of each, and what is broken in some
my %small = small_pictures();
mix('true', map { $small{$_} } grep { !/^claim|^text|^empty/ } sort keys %small);
mix('false', map { $small{$_} } grep { /^claim|^text|^empty/ } sort keys %small);
mix('false', map { substr $small{$_}, 0, -20 } grep { /^jpeg|^gif|^webp/ } sort keys %small);
mix('false', substr(png(64, 48), 0, 80), substr($small{'png 3x2'}, 0, 60));

# larger ones
mix('true',
	map { fixture($_) }
	  qw(orientation-6.jpg orientation-6.png orientation-6.webp bilevel.png gradient-16bit.png logo-interlaced.png
	  logo-palette.png logo-palette-transparent.png transparent.gif animated.gif logo-rle.bmp photo.bmp photo-jpeg.tif
	  photo.tif photo-gray.jpg photo-adobe-rgb.jpg photo-cmyk.jpg photo-progressive.jpg photo.webp logo-lossless.webp
	  animated.webp));
mix('false', map { fixture($_) } qw(truncated.jpg truncated-gray.jpg));

# Rounds go from one picture of the mix to the next.
$session->query_safe('CREATE TABLE mix (number serial PRIMARY KEY, fine bool, data bytea)');
$session->query_safe(
	"INSERT INTO mix (fine, data) VALUES ($_->{fine}, " . MediastoreTest::hex($_->{data}) . ')')
  foreach @mix;
$session->query_safe(
	q{
	CREATE PROCEDURE compress(rounds int) LANGUAGE plpgsql AS $$
	DECLARE
		picture record;
		turn int := 0;
		small bytea;
	BEGIN
		LOOP
			turn := turn + 1;
			FOR picture IN SELECT * FROM mix ORDER BY number LOOP
				IF rounds = 0 THEN
					RETURN;
				END IF;
				rounds := rounds - 1;
				BEGIN
					small := media_compress(picture.data, max_dimension => 30 + turn % 10, effort => turn % 2);
					IF NOT picture.fine THEN
						RAISE 'picture % is not refused', picture.number;
					END IF;
				EXCEPTION
					WHEN invalid_binary_representation OR feature_not_supported OR program_limit_exceeded THEN
						IF picture.fine THEN
							RAISE 'picture % is refused: %', picture.number, sqlerrm;
						END IF;
				END;
			END LOOP;
		END LOOP;
	END $$
});

# Compresses so many times, as one statement.
sub compress
{
	my ($times) = @_;
	$session->query_safe("CALL compress($times)");
	return;
}

compress($rounds / 5);
my $codec = helper_pid($session);
my ($backend_before, $codec_before) = (resident($backend), resident($codec));
compress($rounds * 4 / 5);
my ($backend_after, $codec_after) = (resident($backend), resident($codec));
note("backend: $backend_before kB, then $backend_after kB; codec: $codec_before kB, then $codec_after kB");
is(helper_pid($session), $codec, 'one codec for all');
cmp_ok($session->query_safe('SELECT requests FROM helper()'), '>=', $rounds * 0.6, 'that most have come to');
cmp_ok($backend_after - $backend_before, '<=', 512, 'the backend has not grown');
cmp_ok($codec_after - $codec_before, '<=', 512, 'the codec has not grown');

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
