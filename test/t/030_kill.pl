# Whatever is killed, and whenever: once all is worked off, a store holds
# exactly what the rows say (R12, R14, R15).
#
# Sessions insert, update and delete, while couriers, workers, backends and the
# whole server end without notice.  KILLS says how often (50), and KILL_SEED
# makes it the same choices again, though not the same moments.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreStores;
use MediastoreTest qw(left_nothing wait_gone);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $sessions = 4;
my $operations = 1000;
my $kills = $ENV{KILLS} // 50;
my $seed = $ENV{KILL_SEED} // int(time);
my $missing = s3_missing();

note "KILL_SEED=$seed";

# ---------------------------------------------------------------- what sessions do

# Few contents, so that many rows have the same one and it comes back after it
# has gone; of 16 bytes to 70 kB.
my $tables = q{
	CREATE FUNCTION content(n int) RETURNS bytea LANGUAGE sql IMMUTABLE
		RETURN decode(repeat(md5(n::text), 1 + n % 7 * 700), 'hex');
	CREATE TABLE picture (id int PRIMARY KEY, data bytea, url text);
	CREATE TABLE named (id int PRIMARY KEY, data bytea);
	CREATE TABLE album (id int PRIMARY KEY, items bytea[], urls text[]);
	CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON picture FOR EACH ROW
		EXECUTE FUNCTION media_push_trigger('data', 'server=store', 'key=picture/{sha256}', 'url_column=url');
	CREATE TRIGGER push_truncate AFTER TRUNCATE ON picture FOR EACH STATEMENT
		EXECUTE FUNCTION media_push_trigger('data', 'server=store', 'key=picture/{sha256}', 'url_column=url');
	CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON named FOR EACH ROW
		EXECUTE FUNCTION media_push_trigger('data', 'server=store', 'key=named/{pk}');
	CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, items ON album FOR EACH ROW
		EXECUTE FUNCTION media_push_trigger('items', 'server=store', 'key=album/{pk}/{index}-{sha256}', 'url_column=urls');
};

# What is to be at the store, by the rows: key and SHA-256.
my $places = q{
	SELECT 'picture/' || encode(sha256(data), 'hex') AS key, sha256(data), url FROM picture WHERE data IS NOT NULL
	UNION ALL SELECT 'named/' || id, sha256(data), NULL FROM named WHERE data IS NOT NULL
	UNION ALL SELECT 'album/' || id || '/' || i || '-' || encode(sha256(items[i]), 'hex'), sha256(items[i]), urls[i]
		FROM album, generate_subscripts(items, 1) i WHERE items[i] IS NOT NULL};

sub change
{
	my ($session, $number) = @_;
	my $id = 1 + int rand 120;
	my $n = 1 + int rand 60;
	my $other = 1 + int rand 60;
	my $insert = "INSERT INTO picture VALUES ($id, content($n)) ON CONFLICT (id) DO UPDATE SET data = excluded.data;";
	my @choices = (
		[ 26, $insert ],
		[ 10, "UPDATE picture SET data = content($n) WHERE id = $id;" ],
		[ 12, "DELETE FROM picture WHERE id = $id;" ],
		[ 3, "UPDATE picture SET id = id + 1000 WHERE id = $id;" ],
		[ 3, "UPDATE picture SET data = NULL WHERE id = $id;" ],
		[ 13, "INSERT INTO named VALUES ($id, content($n)) ON CONFLICT (id) DO UPDATE SET data = excluded.data;" ],
		[ 6, "DELETE FROM named WHERE id = $id;" ],
		[ 9, "INSERT INTO album VALUES ($id, ARRAY[content($n), NULL, content($other)]) ON CONFLICT (id) DO UPDATE SET items = excluded.items;" ],
		[ 3, "UPDATE album SET items = items[1:2] WHERE id = $id;" ],
		[ 3, "DELETE FROM album WHERE id = $id;" ],
		[ 3, "BEGIN; $insert SAVEPOINT s; DELETE FROM picture; ROLLBACK TO s; UPDATE named SET data = content($n) WHERE id = $id; COMMIT;" ],
		[ 3, "BEGIN; $insert DELETE FROM named; ROLLBACK;" ],
		[ 3, "BEGIN; $insert PREPARE TRANSACTION '$session-$number'; COMMIT PREPARED '$session-$number';" ],
		[ 2, "BEGIN; $insert PREPARE TRANSACTION '$session-$number'; ROLLBACK PREPARED '$session-$number';" ],
		[ 1, "DELETE FROM picture WHERE id % 2 = 0;" ],
		[ 0.3, "TRUNCATE picture;" ]);
	my $chance = rand 100.3;

	foreach my $choice (@choices)
	{
		return $choice->[1] if ($chance -= $choice->[0]) < 0;
	}
	return $insert;
}

# Changes, until told to stop: by scripts that psql runs to their end or until
# the server is gone.  Says how many statements were done, in a file.
sub work
{
	my ($node, $session, $folder, $parent) = @_;
	my $number = 0;

	srand($seed + $session);
	while (!-e "$folder/stop" && getppid == $parent)
	{
		my $script = join '', map { change($session, ++$number) . "SELECT pg_sleep(0.03);\n" } 1 .. 10;
		my $out = '';
		my $error = '';
		# of a file, since psql leaves without reading it all when the server is gone
		unlink "$folder/$session.sql";
		append_to_file("$folder/$session.sql", $script);
		IPC::Run::run([ 'psql', '-X', '-d', $node->connstr('postgres'), '-f', "$folder/$session.sql" ], '<', \'', '>', \$out, '2>', \$error);
		my $now = () = $out =~ /^(?:INSERT 0|UPDATE|DELETE|TRUNCATE)/mg;
		usleep(100_000) if $now == 0;
		append_to_file("$folder/$session.done", "$now\n");
	}
	return;
}

# How many were done by all.
sub done
{
	my ($folder) = @_;
	my $done = 0;

	foreach my $file (glob "$folder/*.done")
	{
		$done += $_ || 0 foreach split /\n/, slurp_file($file);
	}
	return $done;
}

# ---------------------------------------------------------------- what is done to them

sub up
{
	my ($node) = @_;

	foreach my $try (1 .. 600)
	{
		my $out = '';
		my $error = '';
		IPC::Run::run([ 'psql', '-X', '-A', '-t', '-d', $node->connstr('postgres'), '-c', 'SELECT 1' ], '<', \'', '>', \$out, '2>', \$error);
		return 1 if $out eq "1\n";
		usleep(50_000);
	}
	die 'the server does not come back';
}

# What a session that is no more has prepared would lock others out for ever.
sub end_prepared
{
	my ($node, $age) = @_;

	# the server may be gone again, or somebody quicker
	eval {
		foreach my $name (split /\n/, $node->safe_psql('postgres', "SELECT gid FROM pg_prepared_xacts WHERE prepared < now() - interval '$age'"))
		{
			$node->psql('postgres', "ROLLBACK PREPARED '$name'");
		}
	};
	return;
}

# Kills the server's first process, and starts it when the others have ended.
sub kill_server
{
	my ($node) = @_;
	my $server = server_pid($node);
	my @processes = child_pids($server);

	$node->kill9;
	wait_gone($_) || die "process $_ does not end" foreach @processes;
	# a zombie of its number would pass for a running server
	foreach my $try (1 .. 500)
	{
		last if left_nothing($server);
		usleep(10_000);
	}
	$node->start;
	return;
}

# A process of a kind, waited for a little.
sub victim
{
	my ($node, $kind) = @_;

	foreach my $try (1 .. 100)
	{
		my @pids = $kind eq 'courier' ? courier_pid($node) : $kind eq 'worker' ? worker_pid($node) : session_pids($node);
		@pids = grep { defined } @pids;
		return $pids[ rand @pids ] if @pids;
		usleep(10_000);
	}
	return;
}

# So often, at random moments, while the sessions do all they are to do; how
# often each was.
sub kill_them
{
	my ($node, $times, $folder) = @_;
	my %killed = map { $_ => 0 } qw(courier worker backend stop server);
	my @kinds = (('courier') x 11, ('worker') x 4, ('backend') x 2, ('stop') x 2, ('server') x 1);
	my $until = time + 70;
	my $done = 0;

	while ($done < $times && time < $until)
	{
		my $kind = $kinds[ rand @kinds ];

		usleep(int rand 400_000);
		foreach my $try (1 .. 100)
		{
			last if done($folder) >= $operations * $done / 50;
			usleep(50_000);
		}
		if ($kind eq 'stop')
		{
			$node->stop('immediate');
			$node->start;
		}
		elsif ($kind eq 'server')
		{
			kill_server($node);
		}
		else
		{
			my $pid = victim($node, $kind) // next;
			kill 'KILL', $pid or next;
		}
		if ($kind ne 'courier')
		{
			up($node);
			end_prepared($node, '1 s');
		}
		$killed{$kind}++;
		$done++;
	}
	return %killed;
}

# ---------------------------------------------------------------- all of it

sub compare
{
	my ($node, $kind, $objects) = @_;
	my %wanted = map { split /\t/ } split /\n/,
	  $node->safe_psql('postgres', "SELECT DISTINCT 'media/' || key || E'\\t' || encode(sha256, 'hex') FROM ($places) p");
	my @absent = grep { !exists $objects->{$_} } sort keys %wanted;
	my @more = grep { !exists $wanted{$_} } sort keys %$objects;
	my @different = grep { exists $objects->{$_} && $objects->{$_} ne $wanted{$_} } sort keys %wanted;

	is(scalar @absent, 0, "$kind: of " . keys(%wanted) . ' objects that rows have, none is missing') or diag join "\n", @absent[ 0 .. 5 ];
	is(scalar @more, 0, "$kind: none is there that no row has") or diag join "\n", grep { defined } @more[ 0 .. 5 ];
	is(scalar @different, 0, "$kind: each has the bytes of its rows") or diag join "\n", grep { defined } @different[ 0 .. 5 ];
	return scalar keys %wanted;
}

# The administrator has no time for back-off.
sub drain
{
	my ($node, $kind) = @_;
	my $begun = time;

	$node->safe_psql('postgres', "SELECT media_retry(id) FROM mediastore.object WHERE state <> 'stored'");
	my ($status, $out, $error) = $node->psql('postgres', "CALL media_drain('60 s')");
	is($status, 0, "$kind: all is worked off") or diag $error, $node->safe_psql('postgres', 'SELECT * FROM mediastore.worker'),
	  $node->safe_psql('postgres', "SELECT * FROM mediastore.object WHERE state <> 'stored' LIMIT 5");
	note sprintf '%s: that took %.1f s', $kind, time - $begun;
	return;
}

sub kill_test
{
	my ($kind, $times, $server, $look) = @_;
	my $node = PostgreSQL::Test::Cluster->new($kind);
	my $folder = PostgreSQL::Test::Utils::tempdir();
	my $begun = time;
	my $parent = $$;
	my @children;

	srand($seed);
	$node->init;
	$node->append_conf('postgresql.conf', qq{
		shared_preload_libraries = 'mediastore'
		restart_after_crash = on
		max_prepared_transactions = 10
		mediastore.delete_grace = 0
		# each death is an attempt
		mediastore.max_attempts = 1000
		mediastore.helper_idle = 5
		log_min_messages = log
	});
	$node->start;
	$node->safe_psql('postgres', "CREATE EXTENSION mediastore; $server; $tables");
	foreach my $session (1 .. $sessions)
	{
		my $pid = fork // die "fork: $!";
		if ($pid == 0)
		{
			# nothing of the parent's is to be ended with it
			eval { work($node, $session, $folder, $parent) };
			diag "session $session: $@" if $@;
			POSIX::_exit(0);
		}
		push @children, $pid;
	}
	my %killed = eval { kill_them($node, $times, $folder) };
	my $error = $@;

	append_to_file("$folder/stop", '');
	foreach my $pid (@children)
	{
		until (waitpid $pid, POSIX::WNOHANG)
		{
			end_prepared($node, '1 s') unless $error;
			usleep(50_000);
		}
	}
	die $error if $error;
	my $total = 0;
	$total += $_ foreach values %killed;
	is($total, $times, "$kind: killed " . join ', ', map { "$_ $killed{$_}" } sort keys %killed);
	my $done = done($folder);
	cmp_ok($done, '>=', $operations * $times / 50, "$kind: during $done inserts, updates and deletes");
	note sprintf '%s: %.1f s', $kind, time - $begun;

	end_prepared($node, '0');
	drain($node, $kind);
	# a file store's leftovers go with the first transfer of a new courier
	$node->safe_psql('postgres', "INSERT INTO named VALUES (5000, content(1))");
	drain($node, $kind);
	my %objects = $look->();
	cmp_ok(compare($node, $kind, \%objects), '>', 20, "$kind: they are more than a few");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM mediastore.change'), 0, "$kind: no change is left over");
	is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT state, ' ') FROM mediastore.object"), 'stored', "$kind: all objects are stored");
	is( $node->safe_psql('postgres', 'SELECT count(*) FROM mediastore.object'),
		$node->safe_psql('postgres', "SELECT count(DISTINCT key) FROM ($places) p"),
		"$kind: the catalog has as many");
	is( $node->safe_psql('postgres', 'SELECT count(*) FROM mediastore.attachment'),
		$node->safe_psql('postgres', "SELECT count(*) FROM ($places) p"),
		"$kind: and as many places as there are");
	is($node->safe_psql('postgres', "SELECT count(*) FROM ($places) p WHERE key NOT LIKE 'named/%' AND url IS DISTINCT FROM media_url('store', key)"),
		0, "$kind: each row has its URLs");

	$node->safe_psql('postgres', 'DELETE FROM picture; DELETE FROM named; DELETE FROM album');
	drain($node, $kind);
	%objects = $look->();
	is(join(' ', sort keys %objects), '', "$kind: without rows, the store is empty");
	is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM mediastore.object) + (SELECT count(*) FROM mediastore.attachment)'),
		0, "$kind: and so is the catalog");
	my $courier = courier_pid($node);
	is($courier && courier_parent($courier), worker_pid($node), "$kind: the courier is the worker's");
	is(join(' ', orphaned_couriers()), '', "$kind: and no other has outlived its parent");
	$node->stop;
	ok(wait_gone($courier), "$kind: nor does it outlive the server") if defined $courier;
	return;
}

SKIP:
{
	skip "not installed: $missing", 1 if $missing;
	my $endpoint = start_s3('kill') // skip 'the S3 server did not start', 1;

	kill_test('s3', $kills, qq{
		CREATE SERVER store TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'kill', region 'us-east-1',
			endpoint '$endpoint', prefix 'media/', private_network 'true', public_url 'https://cdn.example.com');
		CREATE USER MAPPING FOR PUBLIC SERVER store OPTIONS (access_key_id '${\S3_KEY}', secret_access_key '${\S3_SECRET}')},
		sub { s3_objects($endpoint, 'kill') });
}

# fewer, where the other has had its share
my $root = PostgreSQL::Test::Utils::tempdir();
kill_test('file', $missing ? $kills : POSIX::ceil($kills / 4), qq{
	CREATE SERVER store TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '$root', prefix 'media/',
		public_url 'https://cdn.example.com')},
	sub { file_objects($root) });

done_testing();
