# Cancelling: a large picture does not hold a statement.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = start_node('cancel', build_folder());
my $small = 'SELECT media_format(media_compress(' . MediastoreTest::hex(jpeg()) . '))';
my $session = $node->background_psql('postgres', on_error_stop => 0);
my @times;

# 90 megapixels in some kilobytes, and hard work to encode without loss
$node->safe_psql('postgres', 'CREATE TABLE large (data bytea)');
$node->safe_psql('postgres', 'INSERT INTO large VALUES (' . MediastoreTest::hex(png(10000, 9000)) . ')');
my $large = 'SELECT media_compress(data, max_dimension => 16383, max_bytes => 1000000000,'
  . " effort => 6, lossless => 'always') IS NULL FROM large";

is($session->query_safe($small), 'webp', 'a codec is there');
foreach my $try (1 .. 5)
{
	my $pid = helper_pid($session);
	my $begin = time;

	$session->query("SET statement_timeout = 200; $large; ");
	push @times, time - $begin;
	like($session->{stderr}, qr/canceling statement due to statement timeout/, "try $try: cancelled");
	$session->{stderr} = '';
	$session->query_safe('SET statement_timeout = 0');
	ok(wait_gone($pid), "try $try: the codec is gone");
	is($session->query_safe($small), 'webp', "try $try: the next call works");
}
@times = sort { $a <=> $b } @times;
note('seconds: ' . join(', ', map { sprintf '%.3f', $_ } @times));
cmp_ok($times[2], '<=', 0.25, 'answered within 250 ms (median)');
cmp_ok($times[-1], '<=', 0.4, 'and never much later');

# by hand
{
	my $backend = backend_pid($session);
	my $begin;

	$session->query_until(qr/under way/, "\\echo under way\n$large;\n");
	usleep(300_000);
	$begin = time;
	is($node->safe_psql('postgres', "SELECT pg_cancel_backend($backend)"), 't', 'pg_cancel_backend');
	$session->query('SELECT 1');
	cmp_ok(time - $begin, '<=', 1, 'is heard at once');
	like($session->{stderr}, qr/canceling statement due to user request/, 'and says so');
	$session->{stderr} = '';
	is($session->query_safe($small), 'webp', 'the next call works');
}

# Inside a subtransaction the session goes on.  The large picture must not be
# done: it is the error that is caught.
$node->safe_psql(
	'postgres', q{
	CREATE FUNCTION state_of_large() RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM set_config('mediastore.codec_timeout', '100', true);
		PERFORM media_compress(data, max_dimension => 16383, max_bytes => 1000000000, effort => 6, lossless => 'always')
			FROM large;
		RETURN 'done';
	EXCEPTION WHEN OTHERS THEN
		RETURN sqlstate;
	END $$
});
$session->query_safe('BEGIN');
is($session->query_safe('SELECT state_of_large()'), '54000', 'took too long, and was caught');
is($session->query_safe('SHOW mediastore.codec_timeout'), '30s', 'with all that was done there');
is($session->query_safe($small), 'webp', 'gone on in the same transaction');
$session->query_safe('COMMIT');
is($session->query_safe('SELECT count(*) FROM helper()'), '1', 'one codec is left');
$session->quit;

done_testing();
