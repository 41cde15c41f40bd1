# What a user's triggers do while the worker tells a row of its object: they
# gain no rights, hold nobody up, and what they change beside is pushed.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('security');
my $root = PostgreSQL::Test::Utils::tempdir();

$node->init;
$node->append_conf(
	'postgresql.conf', q{
jit = off
shared_preload_libraries = 'mediastore'
mediastore.delete_grace = 0
mediastore.max_attempts = 2
});
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($query, $wanted) = @_;
	my $end = time + 60;
	my $result;

	do
	{
		$result = sql($query);
		return $result if $result eq $wanted;
		usleep(50_000);
	} while (time < $end);
	return $result;
}

sql(qq{
	CREATE EXTENSION mediastore;
	CREATE ROLE attacker;
	CREATE ROLE victim;
	GRANT CREATE ON SCHEMA public TO attacker, victim;
	CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '$root', public_url 'https://cdn.example.com');
	GRANT USAGE ON FOREIGN SERVER files TO attacker, victim;
	CREATE TABLE secret (data text);
	INSERT INTO secret VALUES ('secret');
	REVOKE ALL ON secret FROM PUBLIC;
});
sub table
{
	my ($role, $name) = @_;

	sql(qq{
		SET ROLE $role;
		CREATE TABLE $name (id int PRIMARY KEY, data bytea, url text);
		CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON $name FOR EACH ROW
			EXECUTE FUNCTION media_push_trigger('data', 'server=files', 'url_column=url');
	});
}
sub trigger
{
	my ($table, $body, $kind, $deferred) = @_;

	$kind //= 'BEFORE';
	$deferred //= '';
	sql(qq{
		SET ROLE attacker;
		CREATE FUNCTION $table() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN $body; RETURN NEW; END \$\$;
		CREATE @{[ $deferred ? 'CONSTRAINT' : '' ]} TRIGGER zzz AFTER UPDATE ON $table $deferred FOR EACH ROW EXECUTE FUNCTION $table();
	}) if $kind eq 'AFTER';
	sql(qq{
		SET ROLE attacker;
		CREATE FUNCTION $table() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN $body; RETURN NEW; END \$\$;
		CREATE TRIGGER zzz BEFORE UPDATE ON $table FOR EACH ROW EXECUTE FUNCTION $table();
	}) if $kind eq 'BEFORE';
}

# --- errors that look like a cancel --------------------------------------

my %errors = (cancel => '57014', shutdown => '57P01', crash => '57P02', dropped => '57P04');

for my $name (sort keys %errors)
{
	table('attacker', $name);
	trigger($name, "RAISE EXCEPTION 'no' USING ERRCODE = '$errors{$name}'");
}
table('victim', 'honest');
my $log = -s $node->logfile;
sql("INSERT INTO $_ VALUES (1, '$_')") for sort keys %errors;
is(wait_for(q{SELECT count(*) FROM mediastore.object WHERE state = 'stored' AND last_error = 'no'}, 4), 4,
	"an error of a user's trigger is the row's own, whatever its code");
sql(q{INSERT INTO honest VALUES (1, 'honest')});
is(wait_for(q{SELECT url IS NOT NULL FROM honest}, 't'), 't', '... and holds up nobody');
is(wait_for(q{SELECT count(*) FROM mediastore.attachment WHERE NOT written}, 0), 0, '... and is given up some time');
unlike(slurp_file($node->logfile, $log), qr/exited with exit code|terminated by signal/, '... and the worker lives on');

# --- what runs at the commit ---------------------------------------------

table('attacker', 'deferred');
sql('SET ROLE attacker; CREATE TABLE gained (what text)');
trigger('deferred', q{INSERT INTO public.gained SELECT current_user || ' ' || session_user || ' ' || current_setting('is_superuser');
	BEGIN INSERT INTO public.gained SELECT data FROM public.secret; EXCEPTION WHEN insufficient_privilege THEN NULL; END},
	'AFTER', 'DEFERRABLE INITIALLY DEFERRED');
sql(q{INSERT INTO deferred VALUES (1, 'deferred')});
is(wait_for(q{SELECT url IS NOT NULL FROM deferred}, 't'), 't', 'a deferred trigger does not keep a row from being told');
like(sql(q{SELECT string_agg(what, ',') FROM gained}), qr/^attacker /, "... and runs as the table's owner");
unlike(sql(q{SELECT string_agg(what, ',') FROM gained}), qr/secret/, '... who reads nothing more by it');

table('attacker', 'again');
trigger('again', 'SET CONSTRAINTS ALL DEFERRED', 'BEFORE');
sql(q{
	SET ROLE attacker;
	CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.gained SELECT 'again ' || current_user; RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER zzzz AFTER UPDATE ON again DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit();
});
sql(q{INSERT INTO again VALUES (1, 'again')});
is(wait_for(q{SELECT count(*) FROM mediastore.attachment WHERE NOT written}, 0), 0, 'constraints that a trigger defers again keep nothing up');
is(sql(q{SELECT count(*) FROM gained WHERE what LIKE 'again%' AND what <> 'again attacker'}), 0, '... and run as nobody else');

# --- what it may not -------------------------------------------------------

my %forbidden = (
	role => 'SET ROLE victim',
	session => 'SET SESSION AUTHORIZATION victim',
	reset => 'RESET SESSION AUTHORIZATION',
	temporary => 'CREATE TEMPORARY TABLE left_behind ()',
	listens => 'LISTEN something',
	prepares => q{EXECUTE 'PREPARE p AS SELECT 1'});
for my $name (sort keys %forbidden)
{
	table('attacker', "f_$name");
	trigger("f_$name", $forbidden{$name});
	sql("INSERT INTO f_$name VALUES (1, 'f_$name')");
}
is(wait_for(q{SELECT count(*) FROM mediastore.attachment WHERE NOT written}, 0), 0, 'what is forbidden is given up');
is(sql('SELECT ' . join(' + ', map { "(SELECT count(url) FROM f_$_)" } sort keys %forbidden)), 0, '... and not done');

table('attacker', 'settings');
trigger('settings', q{PERFORM set_config('search_path', 'public', false); PERFORM set_config('row_security', 'on', false);
	PERFORM set_config('work_mem', '64kB', false)});
sql(q{CREATE TABLE seen (path text, memory text); GRANT INSERT ON seen TO victim});
table('victim', 'later');
sql(q{
	SET ROLE victim;
	CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.seen SELECT current_setting('search_path'), current_setting('work_mem'); RETURN NEW; END $$;
	CREATE TRIGGER zzz BEFORE UPDATE ON later FOR EACH ROW EXECUTE FUNCTION later();
});
sql(q{INSERT INTO settings VALUES (1, 'settings')});
is(wait_for(q{SELECT url IS NOT NULL FROM settings}, 't'), 't', 'settings may be made');
sql(q{INSERT INTO later VALUES (1, 'later')});
is(wait_for(q{SELECT url IS NOT NULL FROM later}, 't'), 't', '...');
is(sql('SELECT * FROM seen'), 'pg_catalog, pg_temp|' . sql('SHOW work_mem'), '... and are gone for the next row');

# --- the pusher's own lock --------------------------------------------------

table('attacker', 'unlocks');
sql('SET ROLE attacker; CREATE TABLE held (count int)');
trigger('unlocks', q{INSERT INTO public.held SELECT count(*) FROM pg_locks
		WHERE locktype = 'advisory' AND objsubid = 5 AND granted AND pid = pg_backend_pid();
	PERFORM pg_advisory_unlock_all()});
sql(q{INSERT INTO unlocks SELECT i, i::text::bytea FROM generate_series(1, 4) AS i});
is(wait_for(q{SELECT count(url) FROM unlocks}, 4), 4, 'advisory locks may be released');
is(sql('SELECT DISTINCT count FROM held'), 1, "... but the pusher's is kept");

# --- what it says -----------------------------------------------------------

table('attacker', 'talks');
trigger('talks', q{RAISE EXCEPTION '%', repeat('long', 1000000)});
sql(q{INSERT INTO talks VALUES (1, 'talks')});
like(wait_for(q{SELECT max(length(last_error)) FROM mediastore.object WHERE last_error LIKE 'longlong%'}, 1000),
	qr/^1000$/, 'of a long message the beginning is kept');

# --- what it changes beside ------------------------------------------------

table('attacker', 'beside');
table('attacker', 'origin');
sql(q{SET ROLE attacker; INSERT INTO beside VALUES (1, 'before')});
is(wait_for(q{SELECT url IS NOT NULL FROM beside}, 't'), 't', 'a row is stored');
trigger('origin', q{UPDATE public.beside SET data = 'changed' WHERE id = 1; INSERT INTO public.beside VALUES (2, 'inserted')}, 'AFTER');
sql(q{INSERT INTO origin VALUES (1, 'origin')});
is(wait_for(q{SELECT url IS NOT NULL FROM origin}, 't'), 't', 'a row is told, and its trigger changes others');
is(wait_for(q{SELECT count(*) FROM mediastore.attachment a JOIN mediastore.object o ON o.id = a.object
	WHERE a.relation = 'beside'::regclass AND o.state = 'stored'
		AND o.sha256 = (SELECT sha256(b.data) FROM beside b WHERE b.id::text = a.row_key[1])}, 2), 2, '... which are pushed');

$node->stop;
done_testing();
