# test/lib.sh: what test/demo, test/run, test/corpus and test/bench/run share.
#
# Sourced, not run.  From a shell on a bare Debian machine to a PostgreSQL with
# the extension in it, and back to how things were:
#
#	setup_begin demo					temporary folder, traps
#	setup_packages						what is missing, by package name
#	setup_sources						a copy of the work tree to build in
#	setup_build							make, make install into a folder
#	server_start						a throw-away server on a unix socket
#	session_open; session_ask SQL		one long psql session
#
# Nothing is installed system-wide but Debian's packages, no cluster is made or
# started but our own, and what was made is gone afterwards, the logs of a
# failure excepted.
#
# As root the building and the server run as user "postgres", else as oneself.
# Works without systemd, twice in a row, and several at a time.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# psql and make must see our server and our settings, not the caller's
PG_CONFIG_GIVEN=${PG_CONFIG:-}
for variable in ${!PG*}; do
	case $variable in PG_CONFIG | PG_CONFIG_GIVEN) ;; *) unset "$variable" ;; esac
done
unset MAKEFLAGS MFLAGS MAKELEVEL CDPATH
export LC_ALL=C.UTF-8

WORK=			# the temporary folder
SRC=			# the copy of the sources in it, built in place
DEST=			# where make install puts things
COMMAND=		# who we are, for messages
MAJOR=			# PostgreSQL's major version
BINDIR=
PORT=5432		# only part of the socket's name
JOBS=$(nproc 2>/dev/null || echo 2)

step_pid=		# the running step
step_kill=		# may it be killed?
server_pid=
session_pid=
s3_folder=
createcluster_saved=
announced=
steps=0
color_red='' color_dim='' color_off=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	color_red=$'\e[31m' color_dim=$'\e[2m' color_off=$'\e[0m'
fi

say() { printf '%s\n' "$*"; }

failed_at=
died=			# has it been said what failed?
FINALLY=		# a function that has the last word, with the exit status

die() { # MESSAGE ...: the first line says what failed, more lines what to do
	died=yes
	printf '%s%s: %s%s\n' "$color_red" "$COMMAND" "$1" "$color_off" >&2
	shift
	[ $# = 0 ] || printf '  %s\n' "$@" >&2
	exit 1
}

# ---------------------------------------------------------------- beginning, end

setup_begin() { # COMMAND
	local base=${TMPDIR:-/tmp}
	COMMAND=$1

	[ "${BASH_VERSINFO[0]}" -ge 4 ] || die "needs bash 4 or later"
	# make and PostgreSQL want plain names, a socket's path is short, and the
	# server's user must get there
	if [[ ! $base =~ ^/[A-Za-z0-9/._+-]*$ ]] || [ ${#base} -gt 60 ] || [ ! -d "$base" ] || [ ! -w "$base" ]; then
		base=/tmp
	fi
	if am_root && ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$base/." 2>/dev/null; then
		base=/tmp
	fi
	trap cleanup EXIT
	set -E
	trap 'failed_at="${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND"' ERR
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	WORK=$(mktemp -d "${base%/}/mediastore-$COMMAND.XXXXXX")
	mkdir "$WORK/log" "$WORK/run"
	if am_root; then
		chmod 711 "$WORK"
	fi
	SRC=$WORK/src
	DEST=$WORK/dest
	printf '#!/bin/sh\n' >"$WORK/run/try"
	chmod +x "$WORK/run/try"
	"$WORK/run/try" 2>/dev/null ||
		die "programs in ${WORK%/*} may not be run (mounted noexec?)" "name another folder with TMPDIR=/some/folder"
	rm "$WORK/run/try"
}

cleanup() {
	local status=$? interrupted=

	trap - EXIT ERR
	trap '' INT TERM HUP
	set +eE
	case $status in 129 | 130 | 143) interrupted=yes ;; esac
	if [ -n "$step_pid" ]; then
		[ -n "$step_kill" ] && kill -TERM -- "-$step_pid" 2>/dev/null
		wait "$step_pid" 2>/dev/null
	fi
	session_close
	server_stop
	s3_stop
	restore_createcluster
	# shellcheck disable=SC2046
	kill $(jobs -p) 2>/dev/null
	if [ "$status" != 0 ] && [ -z "$interrupted$died" ]; then
		say "$COMMAND: failed${failed_at:+ at $failed_at}" >&2
	fi
	if [ "$status" != 0 ] && [ -z "$interrupted" ] && [ -n "$(ls -A "$WORK/log" 2>/dev/null)" ]; then
		find "$WORK" -mindepth 1 -maxdepth 1 ! -name log -exec rm -rf {} +
		say "the logs are kept in $WORK/log" >&2
	elif [ -n "$WORK" ]; then
		rm -rf "$WORK"
	fi
	[ -z "$FINALLY" ] || [ -n "$interrupted" ] || "$FINALLY" "$status"
	exit "$status"
}

am_root() { [ "$(id -u)" = 0 ]; }

# Runs a command as the one who builds and serves: never as root.
as_server() { "${AS_SERVER[@]}" "$@"; }

# One line a step; what it prints goes to a log, of which the end is shown when
# it fails.
step() { # WHAT COMMAND ...
	local status=0
	try_step "$@" || status=$?
	[ "$status" = 0 ] || die "$1 failed (exit status $status)"
}

try_step() { # like step, but the caller goes on
	local what=$1 status=0 begin=$SECONDS log
	shift
	steps=$((steps + 1))
	log=${what//[^A-Za-z0-9]/-}
	log=$WORK/log/$(printf '%02d' $steps)-${log:0:50}.log
	STEP_LOG=$log
	if [ -t 1 ]; then
		printf '%s ...' "$what"
	fi
	run_logged "$log" "$@" || status=$?
	if [ -t 1 ]; then
		printf '\r\e[K'
	fi
	if [ "$status" = 0 ]; then
		say "$what: done$(seconds_since "$begin")"
	else
		say "$what: ${color_red}FAILED$color_off$(seconds_since "$begin"); the end of $log:"
		tail -n "${STEP_TAIL:-40}" "$log" | sed 's/^/    /'
	fi
	return "$status"
}

seconds_since() {
	local spent=$((SECONDS - $1))
	[ $spent -lt 2 ] || printf ' %s(%d s)%s' "$color_dim" $spent "$color_off"
}

# In a process group of its own, so that it can be ended with all it started.
run_logged() { # LOG COMMAND ...
	local log=$1 status=0
	shift
	step_kill=yes
	case $1 in apt_get) step_kill= ;; esac
	set -m
	(trap - EXIT INT TERM HUP && "$@") >"$log" 2>&1 </dev/null &
	step_pid=$!
	set +m
	wait "$step_pid" || status=$?
	step_pid=
	return "$status"
}

# ---------------------------------------------------------------- packages

# What building needs: how it is found, and the Debian package that has it.
NEEDS='
tool	make			make
tool	gcc			gcc
header	stdio.h			libc6-dev
tool	pkg-config		pkgconf
library	libwebp			libwebp-dev
library	libwebpmux		libwebp-dev
library	libjpeg			libjpeg62-turbo-dev
library	libpng			libpng-dev
header	gif_lib.h		libgif-dev
library	libtiff-4		libtiff-dev
library	zimg			libzimg-dev
library	lcms2			liblcms2-dev
library	libcrypto		libssl-dev
library	libcurl			libcurl4-openssl-dev
library	expat			libexpat1-dev
library	libheif			libheif-dev
library	libseccomp		libseccomp-dev
'
# Debian 13 and later have libheif's decoders in packages of their own.
HEIF_PLUGINS='libheif-plugin-libde265 libheif-plugin-dav1d libheif-plugin-aomdec'

# setup_packages [KIND NAME PACKAGE ...]: the above, PostgreSQL, and these
setup_packages() {
	local needs=$NEEDS missing

	while [ $# -gt 0 ]; do
		needs+="$1 $2 $3"$'\n'
		shift 3
	done
	find_postgres
	missing=$(missing_packages "$needs")
	if [ -n "$missing" ]; then
		install_packages "$needs"
		find_postgres
		missing=$(missing_packages "$needs")
		[ -z "$missing" ] || die "still missing after installing: $missing"
	fi
	BINDIR=$("$PG_CONFIG" --bindir)
	AS_SERVER=(env "HOME=$WORK")
	if am_root; then
		SERVER_USER=postgres
		id postgres >/dev/null 2>&1 || SERVER_USER=nobody
		SERVER_GROUP=$(id -g "$SERVER_USER")
		SERVER_USER=$(id -u "$SERVER_USER")
		AS_SERVER=(setpriv "--reuid=$SERVER_USER" "--regid=$SERVER_GROUP" --init-groups env "HOME=$WORK")
		give_to_server "$WORK/run"
	fi
	chmod 700 "$WORK/run"
	if [ -z "$announced" ]; then
		announced=yes
		say "PostgreSQL $("$PG_CONFIG" --version | awk '{print $2}'), gcc $(gcc -dumpfullversion), $(os_name)"
	fi
}

os_name() {
	(. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-unknown system}") || uname -sr
}

# What the tests of pushing need beside the rest, after setup_packages: a real
# S3 server and a client of it that is not ours.  The server is that of Debian
# 12; later ones do not start as test/s3/rgw starts them, and where there is
# none, the tests that want it are skipped.
s3_packages() { # [KIND NAME PACKAGE ...]: what setup_packages was called with
	local needs=(python ctypes python3) version

	if ! tools_of_s3; then
		version=$(apt-cache policy radosgw 2>/dev/null | sed -n 's/^  Candidate: //p')
		case $version in
			16.*)
				needs+=(tool radosgw radosgw tool ceph-mon ceph-mon tool ceph-osd ceph-osd
					tool curl curl python boto3 python3-boto3)
				;;
			*) say "there is no radosgw 16 to be had here: the tests that push to it are skipped" ;;
		esac
	fi
	setup_packages "$@" "${needs[@]}"
}

tools_of_s3() { has tool radosgw && has tool ceph-mon && has tool ceph-osd && has tool curl && has python boto3; }

# Sets PG_CONFIG and MAJOR; PG_CONFIG is empty when there is none to build with.
find_postgres() {
	local candidate

	PG_CONFIG=$PG_CONFIG_GIVEN
	if [[ $PG_CONFIG =~ ^/usr/lib/postgresql/([0-9]+)/bin/pg_config$ ]]; then
		MAJOR=${BASH_REMATCH[1]}	# can be installed, if need be
	elif [ -n "$PG_CONFIG" ]; then
		PG_CONFIG=$(command -v "$PG_CONFIG") || die "PG_CONFIG=$PG_CONFIG_GIVEN: there is no such program"
		MAJOR=$(pg_major "$PG_CONFIG")
		[ -n "$MAJOR" ] || die "PG_CONFIG=$PG_CONFIG_GIVEN: that is no pg_config"
		[ "$MAJOR" -lt 15 ] || can_build "$PG_CONFIG" ||
			die "PG_CONFIG=$PG_CONFIG_GIVEN: that PostgreSQL lacks its server or the files for building extensions"
	else
		while read -r candidate; do
			if can_build "$candidate"; then
				PG_CONFIG=$candidate
				MAJOR=$(pg_major "$PG_CONFIG")
				break
			fi
		done < <(installed_postgres bin/pg_config; command -v pg_config)
		if [ -z "$PG_CONFIG" ]; then
			# the server that is here, else what this release calls PostgreSQL
			MAJOR=$({
				for candidate in $(installed_postgres bin/postgres | grep -Eo '[0-9]+/bin' | grep -Eo '[0-9]+'); do
					if [ "$candidate" -ge 15 ] && apt_knows "postgresql-server-dev-$candidate"; then
						echo "$candidate"
					fi
				done
				apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p'
			} | sed -n 1p) || true
		fi
	fi
	if [ -n "$MAJOR" ] && [ "$MAJOR" -lt 15 ]; then
		die "PostgreSQL $MAJOR is too old: 15 or later is needed" \
			"name another one with PG_CONFIG=/usr/lib/postgresql/NN/bin/pg_config"
	fi
	export PG_CONFIG
}

installed_postgres() { # newest first
	find /usr/lib/postgresql -mindepth 3 -maxdepth 3 -path "*/$1" 2>/dev/null | sort -rV || true
}

pg_major() { "$1" --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p'; }

can_build() { # PG_CONFIG
	local pgxs
	# the client's package has the makefiles, too, but not the headers
	[ -x "$1" ] && pgxs=$("$1" --pgxs 2>/dev/null) && [ -f "$pgxs" ] &&
		[ -f "$("$1" --includedir-server)/postgres.h" ] &&
		[ -x "$("$1" --bindir)/postgres" ] && [ "$(pg_major "$1")" -ge 15 ]
}

# The packages of what is not there, in one line.
missing_packages() { # NEEDS
	local kind name package packages=''

	while read -r kind name package; do
		[ -n "$kind" ] || continue
		has "$kind" "$name" || packages+=" $package"
	done <<<"$1"
	if [ -z "$PG_CONFIG" ] || ! can_build "$PG_CONFIG"; then
		packages+=" postgresql-${MAJOR:-15} postgresql-server-dev-${MAJOR:-15}"
	fi
	for package in $HEIF_PLUGINS; do
		has package "$package" || ! apt_knows "$package" || packages+=" $package"
	done
	# shellcheck disable=SC2086
	[ -z "$packages" ] || printf '%s\n' $packages | sort -u | tr '\n' ' ' | sed 's/ $//'
}

has() { # KIND NAME
	case $1 in
		tool) command -v "$2" >/dev/null ;;
		library) command -v pkg-config >/dev/null && pkg-config --exists "$2" ;;
		header) command -v gcc >/dev/null && echo "#include <$2>" | gcc -E -include stdio.h -o /dev/null -x c - 2>/dev/null ;;
		perl) command -v perl >/dev/null && perl "-M$2" -e 1 2>/dev/null ;;
		python) [ -x /usr/bin/python3 ] && /usr/bin/python3 -c "import $2" 2>/dev/null ;;
		package) dpkg-query -W -f '${Status}' "$2" 2>/dev/null | grep '^install ok installed' >/dev/null ;;
		*) false ;;
	esac
}

apt_knows() {
	command -v apt-cache >/dev/null &&
		apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [0-9]' >/dev/null
}

install_packages() { # NEEDS
	local missing

	missing=$(missing_packages "$1")
	if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
		die "this is not a Debian-like system, so please install what is missing yourself" \
			"Debian calls it: $missing" \
			"(and name your PostgreSQL with PG_CONFIG=/path/to/pg_config where it has no pg_config on the PATH)"
	fi
	SUDO=()
	if ! am_root; then
		command -v sudo >/dev/null ||
			die "packages are missing, and there is no sudo to install them with" \
				"as root, please: apt-get install --no-install-recommends $missing"
		if ! sudo -n true 2>/dev/null; then
			[ -t 0 ] || die "packages are missing, and sudo wants a password" \
				"as root, please: apt-get install --no-install-recommends $missing"
			say "to install $missing:"
			sudo -v || die "sudo said no"
		fi
		SUDO=(sudo -n)
	fi
	# one at a time on this machine: the second one finds all there
	exec 8</var/lib/dpkg
	flock 8
	missing=$(missing_packages "$1")
	if [ -n "$missing" ]; then
		local fresh='' package
		if [ -z "$MAJOR" ]; then
			apt_update
			fresh=yes
			find_postgres
			missing=$(missing_packages "$1")
		fi
		for package in $missing; do
			if ! apt_knows "$package" && [ -z "$fresh" ]; then
				apt_update
				fresh=yes
				missing=$(missing_packages "$1")
			fi
		done
		for package in $missing; do
			apt_knows "$package" || die "$(os_name) has no package $package" \
				"needed are: $missing"
		done
		case " $missing " in
			*" postgresql-$MAJOR "*) no_stray_cluster ;;
		esac
		# shellcheck disable=SC2086
		if [ -n "$fresh" ]; then
			step "installing $missing" apt_get install $missing
		elif ! STEP_TAIL=3 try_step "installing $missing" apt_get install $missing; then
			# the lists were perhaps too old
			apt_update
			step "installing $missing" apt_get install $missing
		fi
		restore_createcluster
	fi
	exec 8<&-
}

apt_get() {
	${SUDO[@]+"${SUDO[@]}"} env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
		apt-get -y -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 --no-install-recommends "$@" 8<&-
}

apt_update() {
	local try
	for try in 1 2 3 4 5; do
		if run_logged "$WORK/log/apt-update.log" apt_get update; then
			say "reading the lists of packages: done"
			return
		fi
		# somebody else may be at it
		grep -q 'Could not get lock' "$WORK/log/apt-update.log" || break
		sleep 10
	done
	say "apt-get update failed; going on with the lists there are:"
	grep -E '^[EW]:' "$WORK/log/apt-update.log" | head -n 5 | sed 's/^/    /' || true
}

# Keeps the package postgresql-NN from making a cluster of its own.
no_stray_cluster() {
	local conf=/etc/postgresql-common/createcluster.conf
	if ! has package postgresql-common; then
		step "installing postgresql-common" apt_get install postgresql-common
	fi
	[ -f "$conf" ] || return 0
	cp "$conf" "$WORK/createcluster.conf"
	createcluster_saved=$WORK/createcluster.conf
	echo 'create_main_cluster = false' | ${SUDO[@]+"${SUDO[@]}"} tee -a "$conf" >/dev/null
}

restore_createcluster() {
	[ -n "$createcluster_saved" ] || return 0
	${SUDO[@]+"${SUDO[@]}"} sh -c 'cat "$1" >/etc/postgresql-common/createcluster.conf' - "$createcluster_saved"
	createcluster_saved=
}

# ---------------------------------------------------------------- building

# Copies the sources: what git knows or would take, else all but results.
setup_sources() { # [FOLDER]
	local to=${1:-$SRC}
	mkdir -p "$to"
	copy_sources "$to" || die "could not copy the sources from $ROOT to $to"
	[ -f "$to/Makefile" ] || die "there is no Makefile in $ROOT"
	give_to_server "$to"
}

copy_sources() {
	if command -v git >/dev/null &&
		git -c safe.directory='*' -C "$ROOT" ls-files -z -co --exclude-standard -- Makefile 2>/dev/null | grep . >/dev/null; then
		git -c safe.directory='*' -C "$ROOT" ls-files -z -co --exclude-standard |
			(cd "$ROOT" && while IFS= read -r -d '' file; do
				if [ -e "$file" ]; then printf '%s\0' "$file"; fi
			done) |
			tar -C "$ROOT" --null --no-recursion -T - -cf - | tar -C "$1" --no-same-owner -xf -
	else
		tar -C "$ROOT" --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' \
			--exclude=./demo-output --exclude=./tmp_check --exclude=./results -cf - . | tar -C "$1" --no-same-owner -xf -
	fi
}

give_to_server() { # PATH ...
	if am_root; then
		chown -R "$SERVER_USER:$SERVER_GROUP" "$@"
	fi
}

# make in the copy of the sources, as the server's user
make_in() { # FOLDER ARGUMENT ...
	local folder=$1
	shift
	as_server make -C "$folder" -j"$JOBS" PG_CONFIG="$PG_CONFIG" with_llvm=no "$@"
}

setup_build() { # [make variables]
	step "building the extension" make_in "$SRC" all "$@"
	mkdir -p "$DEST"
	give_to_server "$DEST"
	step "installing it into a temporary folder" make_in "$SRC" install DESTDIR="$DEST" "$@"
}

# The image room in one process without a server; see test/bench/inprocess.c.
build_inprocess() { # FOLDER PROGRAM [flags]
	local folder=$1 program=$2 objects
	shift 2
	objects=$(find "$folder/src/image" "$folder/src/facts" -name '*.o' ! -name decode_heif.o)
	# shellcheck disable=SC2046,SC2086
	step "building the in-process program" gcc -O2 "$@" -I"$folder/src" "$folder/test/bench/inprocess.c" $objects -o "$program" \
		$(pkg-config --libs libjpeg libpng libwebp libwebpmux libwebpdemux libtiff-4 lcms2 zimg) -lgif -lm
}

# ---------------------------------------------------------------- sanitizers

# What a program built with SANITIZE=1 is to be run with: UBSan's findings end
# it, too.
SANITIZER_OPTIONS=(ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=0
	UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1)

# Makes server_start start a server that can load a sanitized module.
sanitize_server() {
	# ASan has to start before any other library's constructor: with Debian 12's
	# libgpg-error PostgreSQL hangs before its main otherwise.
	cat >"$WORK/asanfirst.c" <<-'C'
		#include <stdlib.h>
		__attribute__((constructor)) static void first(void) { void *volatile p = malloc(1); free(p); }
	C
	step "building what starts the sanitizers first" \
		gcc -shared -fPIC -O1 -Wl,-z,initfirst -o "$WORK/asanfirst.so" "$WORK/asanfirst.c"
	# what a backend holds when it ends is no leak, and its handlers of signals stay
	SERVER_ENV=("LD_PRELOAD=$(gcc -print-file-name=libasan.so) $WORK/asanfirst.so"
		ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=0:handle_segv=0
		UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1)
}

# Did the server's log tell of a finding?  Shows it.
sanitizers_found() {
	grep -aE 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$WORK/log/server.log" >"$WORK/log/findings" || return 1
	say "the sanitizers found, in the server:"
	head -n 20 "$WORK/log/findings" | sed 's/^/    /'
}

# ---------------------------------------------------------------- the server

# The settings that make a server find the extension in DESTDIR.
extension_settings() { # DESTDIR
	local share lib
	share=$("$PG_CONFIG" --sharedir)
	lib=$("$PG_CONFIG" --pkglibdir)
	echo "dynamic_library_path = '$1$lib:$lib'"
	if [ "$MAJOR" -ge 18 ]; then
		echo "extension_control_path = '$1$share:\$system'"
	else
		echo "extension_destdir = '$1'"
	fi
}

server_start() { # [SETTING ...]: lines of postgresql.conf
	local data=$WORK/data tries=0

	mkdir -p "$data"
	give_to_server "$data"
	chmod 700 "$data"
	step "making a throw-away database" as_server "$BINDIR/initdb" -D "$data" -U postgres \
		--auth=trust --no-locale --encoding=UTF8 --no-sync
	{
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$WORK/run'"
		echo "port = $PORT"
		echo "fsync = off"
		echo "jit = off"
		echo "max_connections = 40"
		echo "shared_buffers = 64MB"
		echo "max_wal_size = 4GB"
		echo "max_prepared_transactions = 10"
		extension_settings "$DEST"
		[ $# = 0 ] || printf '%s\n' "$@"
	} >>"$data/postgresql.conf"
	if ! as_server "$BINDIR/postgres" -D "$data" -C data_directory >"$WORK/log/server.log" 2>&1 &&
		grep -q extension_destdir "$WORK/log/server.log"; then
		die "this PostgreSQL $MAJOR cannot load an extension from a temporary folder" \
			"it takes Debian's packages of PostgreSQL 15 to 17 (they have extension_destdir), or PostgreSQL 18"
	fi
	# it ends with this script, however that ends
	(
		exec "${AS_SERVER[@]}" setsid setpriv --pdeathsig INT env ${SERVER_ENV[@]+"${SERVER_ENV[@]}"} \
			"$BINDIR/postgres" -D "$data" >"$WORK/log/server.log" 2>&1 </dev/null
	) &
	server_pid=$!
	export PGHOST=$WORK/run PGPORT=$PORT PGUSER=postgres PGDATABASE=postgres
	export PGOPTIONS='-c client_min_messages=warning'
	until sql 'SELECT 1' >/dev/null 2>&1; do
		tries=$((tries + 1))
		if ! kill -0 "$server_pid" 2>/dev/null || [ $tries -gt 300 ]; then
			say "the server did not start; the end of its log:"
			tail -n 20 "$WORK/log/server.log" | sed 's/^/    /'
			die "the server did not start"
		fi
		sleep 0.2
	done
	say "starting the server: done"
}

# A throw-away S3 server (test/s3/rgw), which ends with us, with a bucket: sets
# S3_ENDPOINT, S3_ACCESS_KEY and S3_SECRET_KEY.  False if it does not start.
s3_start() { # BUCKET
	local port try

	tools_of_s3 || return 1
	# it has no way to look for free ports itself
	for try in 1 2 3; do
		s3_folder=$WORK/run/rgw
		port=$((20000 + RANDOM % 20000))
		if as_server "$SRC/test/s3/rgw" start "$s3_folder" $port >"$WORK/run/rgw.env" 2>>"$WORK/log/rgw.log"; then
			# shellcheck disable=SC1091
			. "$WORK/run/rgw.env"
			# with the hash of the empty body, which curl leaves out
			curl -sf -X PUT -H "x-amz-content-sha256: $(printf '' | sha256sum | cut -d' ' -f1)" \
				--user "$S3_ACCESS_KEY:$S3_SECRET_KEY" --aws-sigv4 "aws:amz:$S3_REGION:s3" "$S3_ENDPOINT/$1" >>"$WORK/log/rgw.log" 2>&1
			return
		fi
		s3_stop
	done
	return 1
}

s3_stop() {
	[ -n "$s3_folder" ] || return 0
	as_server "$SRC/test/s3/rgw" stop "$s3_folder" >>"$WORK/log/rgw.log" 2>&1 || rm -rf "$s3_folder"
	s3_folder=
}

server_stop() {
	local tries=0
	[ -n "$server_pid" ] || return 0
	kill -INT "$server_pid" 2>/dev/null || true
	while kill -0 "$server_pid" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries != 200 ] || kill -QUIT "$server_pid" 2>/dev/null || true
		[ $tries != 300 ] || kill -KILL "$server_pid" 2>/dev/null || true
		sleep 0.1
	done
	wait "$server_pid" 2>/dev/null || true
	server_pid=
}

sql() { # SQL [psql arguments]: the answer, unaligned
	local statement=$1
	shift
	"$BINDIR/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@" -c "$statement"
}

# One psql that stays, so that many small questions share a backend (and its
# codec).  session_ask prints the answer; it is false when the session is lost.
session_open() {
	local mark
	mkfifo "$WORK/run/ask.$$.$SECONDS" "$WORK/run/answer.$$.$SECONDS"
	mark=$WORK/run/ask.$$.$SECONDS
	"$BINDIR/psql" -X -q -A -t -F $'\t' -f - <"$mark" \
		>"${mark/ask/answer}" 2>>"$WORK/log/session.log" &
	session_pid=$!
	exec 6>"$mark" 7<"${mark/ask/answer}"
	rm "$mark" "${mark/ask/answer}"
}

session_ask() { # SQL
	local line
	trap '' PIPE
	if ! printf '%s;\n\\echo \001\n' "$1" >&6 2>/dev/null; then
		trap - PIPE
		return 1
	fi
	trap - PIPE
	while IFS= read -r -t "${SESSION_PATIENCE:-300}" line <&7; do
		[ "$line" != $'\001' ] || return 0
		printf '%s\n' "$line"
	done
	return 1
}

session_close() {
	[ -n "$session_pid" ] || return 0
	exec 6>&- 7<&-
	kill "$session_pid" 2>/dev/null || true
	wait "$session_pid" 2>/dev/null || true
	session_pid=
}

# ---------------------------------------------------------------- files

# Copies FOLDER's files to where the server can read them, under plain names
# (1, 2, ...), and fills a table with their own: name is fit to be shown.
server_files() { # FOLDER TABLE find-arguments ...
	local folder=$1 table=$2 file name number=0
	shift 2
	mkdir -p "$WORK/files"
	chmod 700 "$WORK/files"
	: >"$WORK/files.csv"
	while IFS= read -r -d '' file; do
		number=$((number + 1))
		cp -- "$folder/$file" "$WORK/files/$number" 2>>"$WORK/log/copy.log" ||
			die "could not copy $folder/$file to $WORK" "$(tail -n 1 "$WORK/log/copy.log")"
		name=$(printf '%s' "$file" | iconv -c -f UTF-8 -t UTF-8)
		name=${name//[[:cntrl:]]/?}
		printf '%d,"%s"\n' $number "${name//\"/\"\"}" >>"$WORK/files.csv"
	done < <(cd -- "$folder" && LC_ALL=C find -L . -type f "$@" -printf '%P\0' | sort -z)
	give_to_server "$WORK/files"
	chmod -R u+rwX "$WORK/files"
	sql "CREATE TABLE $table (number int PRIMARY KEY, name text NOT NULL)"
	sql "COPY $table FROM STDIN (FORMAT csv)" <"$WORK/files.csv"
	FILE_COUNT=$number
}
