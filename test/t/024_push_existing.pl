# media_push_existing that is interrupted leaves what it has done, and goes on
# when it is called again; others may work on the table meanwhile.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FindBin;
use lib $FindBin::RealBin;
use MediastoreStores;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $rows = 2500;
my $node = PostgreSQL::Test::Cluster->new('existing');
my $root = PostgreSQL::Test::Utils::tempdir();

$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "jit = off\nshared_preload_libraries = 'mediastore'\nmediastore.delete_grace = 0\n");
$node->start;
$node->safe_psql(
	'postgres', qq{
	CREATE EXTENSION mediastore;
	CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '$root');
	CREATE TABLE photo (id int PRIMARY KEY, data bytea);
	INSERT INTO photo SELECT n, n::text::bytea FROM generate_series(1, $rows) n;
	CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON photo FOR EACH ROW
		EXECUTE FUNCTION media_push_trigger('data', 'server=files', 'key={sha256}');
});

# Calls it, and ends it with a signal when some rows are done; what the log says.
sub interrupt
{
	my ($how) = @_;
	my $caller = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', q{CALL media_push_existing('photo', 'data', 1)} ],
		'<', \undef, '>', \my $out, '2>', \my $error);
	my $begin = time;
	my $done = 0;

	while ($done < 20 && time - $begin < 30)
	{
		usleep(2_000);
		$done = $node->safe_psql('postgres', q{SELECT COALESCE((SELECT rows_done FROM mediastore.progress WHERE state = 'running'), 0)});
	}
	$node->safe_psql('postgres', "SELECT $how(pid) FROM mediastore.progress WHERE state = 'running'");
	$caller->finish;
	return $error;
}

like(interrupt('pg_cancel_backend'), qr/canceling statement due to user request/, 'a run is cancelled');
is($node->safe_psql('postgres', 'SELECT DISTINCT state FROM mediastore.progress'), 'interrupted', 'which is told');
my $first = $node->safe_psql('postgres', 'SELECT sum(rows_changed) FROM mediastore.progress');
ok($first >= 20 && $first < $rows, "what it has done stays ($first rows)");
like(interrupt('pg_terminate_backend'), qr/terminating connection/, 'another one is ended');

# what changes meanwhile counts, whoever comes first
$node->safe_psql('postgres', q{UPDATE photo SET data = 'newer' WHERE id = 5; DELETE FROM photo WHERE id = 6; UPDATE photo SET id = -7 WHERE id = 7});
$node->safe_psql('postgres', q{UPDATE photo SET data = 'newer, too' WHERE id = 2490; DELETE FROM photo WHERE id = 2491});
$node->safe_psql('postgres', q{CALL media_push_existing('photo', 'data')});
$node->safe_psql('postgres', q{CALL media_drain('60 s')});
is_deeply({ file_objects($root) }, { map { $_ => $_ } split /\n/, $node->safe_psql('postgres', q{SELECT DISTINCT encode(sha256(data), 'hex') FROM photo}) },
	'called again it does the rest');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT row_key) FROM mediastore.attachment'), ($rows - 2) . '|' . ($rows - 2), 'each row once');
is($node->safe_psql('postgres', q{SELECT count(*) FROM mediastore.audit('files')}), 0, 'and all is as it should be');
$node->safe_psql('postgres', q{CALL media_push_existing('photo', 'data')});
is($node->safe_psql('postgres', 'SELECT rows_total FROM mediastore.progress ORDER BY run DESC LIMIT 1'), 0, 'then there is nothing to do');

$node->stop;
done_testing();
