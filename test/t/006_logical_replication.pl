# A subscriber takes what the publisher has compressed, and does not compress
# again though its columns are attached, too.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $picture = MediastoreTest::hex(fixture('photo.webp'));
my $other = MediastoreTest::hex(fixture('photo-gray.jpg'));
my $publisher = PostgreSQL::Test::Cluster->new('publisher');
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
my $content = 'SELECT id, name, md5(image), md5(images::text), media_format(image), media_width(image) FROM parts ORDER BY id';

$publisher->init(allows_streaming => 'logical');
$subscriber->init(allows_streaming => 'logical');
foreach my $node ($publisher, $subscriber)
{
	$node->append_conf('postgresql.conf', "jit = off\n");
	$node->start;
	$node->safe_psql(
		'postgres', q{
		SET client_min_messages = warning;
		CREATE EXTENSION mediastore;
		CREATE TABLE parts (id int PRIMARY KEY, name text, image bytea, images bytea[]);
	});
}

# The programs that a process has started.
sub children
{
	my ($pid) = @_;
	my @children;

	foreach my $folder (glob('/proc/[0-9]*'))
	{
		my ($child) = $folder =~ /(\d+)$/;
		push @children, status_of($child, 'Name') // ''
		  if (status_of($child, 'PPid') // 0) == $pid;
	}
	return grep { /^mediastore/ } @children;
}

sub apply_worker
{
	return $subscriber->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_subscription WHERE subname = 'parts' AND relid IS NULL});
}

# a row of before is there as it came; the publisher's options are other ones
$publisher->safe_psql('postgres', "INSERT INTO parts VALUES (1, 'before', $other, ARRAY[$other])");
foreach my $column (qw(image images))
{
	$publisher->safe_psql('postgres', "SELECT media_attach('parts', '$column', max_dimension => 200)");
	$subscriber->safe_psql('postgres', "SELECT media_attach('parts', '$column', max_dimension => 20)");
}
$publisher->safe_psql('postgres', "INSERT INTO parts VALUES (2, 'copied', $picture, ARRAY[$picture, NULL])");
$publisher->safe_psql('postgres', 'CREATE PUBLICATION parts FOR TABLE parts');
my $source = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION parts CONNECTION '$source' PUBLICATION parts");
$subscriber->wait_for_subscription_sync($publisher, 'parts');
my $worker = apply_worker();
is($subscriber->safe_psql('postgres', $content), $publisher->safe_psql('postgres', $content), 'the first copy is the same');
like($subscriber->safe_psql('postgres', $content), qr/^1\|before\|.*\|jpeg\|/, 'an old row is as it was');

# what goes on
$publisher->safe_psql('postgres', "INSERT INTO parts VALUES (3, 'inserted', $other, ARRAY[$other, $picture])");
$publisher->safe_psql('postgres', "UPDATE parts SET image = $picture, images[1] = $picture WHERE id = 1");
$publisher->safe_psql('postgres', "UPDATE parts SET name = 'changed' WHERE id = 2");
$publisher->safe_psql('postgres', "UPDATE parts SET images = images || $other WHERE id = 3");
$publisher->wait_for_catchup('parts');
is($subscriber->safe_psql('postgres', $content), $publisher->safe_psql('postgres', $content), 'changes are the same');
unlike($subscriber->safe_psql('postgres', $content), qr/\|20$/m, 'nothing was made smaller');
is(apply_worker(), $worker, 'by one worker');
is(join(' ', children($worker)), '', 'that has started no codec');

# a session of the subscriber's own does compress
$subscriber->safe_psql('postgres', "INSERT INTO parts VALUES (100, 'own', $picture, NULL)");
is($subscriber->safe_psql('postgres', 'SELECT media_width(image) FROM parts WHERE id = 100'), '20', 'a row of its own is compressed');

# and so does the worker, if it is asked to
$subscriber->safe_psql('postgres', 'ALTER TABLE parts ENABLE ALWAYS TRIGGER media_compress_image');
$publisher->safe_psql('postgres', "INSERT INTO parts VALUES (4, 'always', $picture, NULL)");
$publisher->safe_psql('postgres', "UPDATE parts SET name = 'changed again' WHERE id = 2");
$publisher->wait_for_catchup('parts');
is($subscriber->safe_psql('postgres', 'SELECT media_width(image) FROM parts WHERE id = 4'), '20', 'a trigger that fires always does');
is(join(' ', children(apply_worker())), 'mediastore-code', 'in a codec of the worker');
isnt($subscriber->safe_psql('postgres', 'SELECT media_width(image) FROM parts WHERE id = 2'), '20', 'but not for another column');

$subscriber->stop;
$publisher->stop;
done_testing();
