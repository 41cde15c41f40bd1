# mediastore: a PGXS build of a module, three programs and an SQL script
#
#   make [PG_CONFIG=...]          also: make -C BUILD -f SRC/Makefile VPATH=SRC
#   make install [DESTDIR=...]
#   make installcheck             pg_regress and TAP, against an installed server
#   make unit fuzz                test programs of the rooms that know no Postgres
#   make bench-tools              what test/bench/push measures with
#
# Switches: WERROR=1 (more warnings, all of them errors), SANITIZE=1 (address
# and undefined-behaviour sanitizers), COVERAGE=1, with_llvm=no (no bitcode).

EXTENSION = mediastore
EXTVERSION = 0.1.0
MODULE_big = mediastore
PGFILEDESC = "mediastore - pictures in the database, objects that follow its commits"

PG_CONFIG ?= pg_config
PKG_CONFIG ?= pkg-config
# the folder of this file, unless VPATH says where the sources are
src := $(or $(VPATH),$(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST)))))

# --- sources, by room ------------------------------------------------------

sources = $(sort $(patsubst $(src)/%,%,$(wildcard $(addprefix $(src)/,$(1)))))

MODULE_SOURCES := $(call sources,src/mediastore.c src/db/*.c)
ifeq ($(MODULE_SOURCES),)
$(error no sources in $(src): set VPATH to the folder of the Makefile)
endif
FACTS_SOURCES := $(call sources,src/facts/*.c)
HTTP_SOURCES := $(call sources,src/http/*.c)
DRIVER_SOURCES := $(call sources,src/store/driver*.c)
STORE_SOURCES := $(filter-out $(DRIVER_SOURCES),$(call sources,src/store/*.c))
IMAGE_SOURCES := $(filter-out src/image/decode_heif.c,$(call sources,src/image/*.c))
HEIF_SOURCES := $(call sources,src/image/decode_heif.c)
HELPER_SOURCES := src/helper/codec.c src/helper/sandbox.c src/helper/start.c
COURIER_SOURCES := src/helper/courier.c src/helper/courier_send.c src/helper/courier_slots.c
UNIT_SOURCES := $(call sources,test/unit/test_*.c)
FUZZ_SOURCES := $(call sources,test/fuzz/*.c)

OBJS = $(MODULE_SOURCES:.c=.o) $(FACTS_SOURCES:.c=.o) $(HTTP_SOURCES:.c=.o) $(STORE_SOURCES:.c=.o)
CODEC_OBJS = $(HELPER_SOURCES:.c=.o) $(IMAGE_SOURCES:.c=.o) $(FACTS_SOURCES:.c=.o)
HEIF_OBJS = $(HEIF_SOURCES:.c=.o)
DRIVER_OBJS = $(DRIVER_SOURCES:.c=.o) $(STORE_SOURCES:.c=.o)
COURIER_OBJS = $(COURIER_SOURCES:.c=.o) src/helper/sandbox.o src/helper/start.o
UNIT_PROGRAMS = $(UNIT_SOURCES:.c=)
FUZZ_PROGRAMS = $(FUZZ_SOURCES:.c=)

# --- libraries -------------------------------------------------------------

CODEC_PACKAGES = libjpeg libpng libwebp libwebpmux libwebpdemux libtiff-4 lcms2 zimg
STORE_PACKAGES = libcrypto
COURIER_PACKAGES = libcurl expat
PACKAGES = $(CODEC_PACKAGES) $(STORE_PACKAGES) $(COURIER_PACKAGES)
have = $(shell $(PKG_CONFIG) --exists $(1) && echo yes)

ifneq ($(MAKECMDGOALS),clean)
ifneq ($(call have,$(PACKAGES)),yes)
$(error $(shell $(PKG_CONFIG) --print-errors --exists $(PACKAGES) 2>&1))
endif
endif

ROOM_CPPFLAGS = $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
CODEC_LIBS = $(shell $(PKG_CONFIG) --libs $(CODEC_PACKAGES)) -lgif -lm
STORE_LIBS = $(shell $(PKG_CONFIG) --libs $(STORE_PACKAGES))
COURIER_LIBS = $(shell $(PKG_CONFIG) --libs $(COURIER_PACKAGES))

ifeq ($(call have,libseccomp),yes)
ROOM_CPPFLAGS += -DHAVE_LIBSECCOMP $(shell $(PKG_CONFIG) --cflags libseccomp)
SECCOMP_LIBS = $(shell $(PKG_CONFIG) --libs libseccomp)
CODEC_LIBS += $(SECCOMP_LIBS)
else
$(info libseccomp was not found: the codec will run without a system-call filter)
endif

PROGRAMS = mediastore-codec mediastore-courier
ifeq ($(call have,libheif)$(if $(HEIF_SOURCES),,-no-source),yes)
ROOM_CPPFLAGS += $(shell $(PKG_CONFIG) --cflags libheif)
HEIF_LIBS = $(shell $(PKG_CONFIG) --libs libheif)
PROGRAMS += mediastore-codec-heif
else
HEIF_OBJS =
$(info libheif was not found: HEIF and AVIF will not be decoded)
endif

# --- the SQL script --------------------------------------------------------

SQL_PARTS = $(addprefix src/db/,schema.sql facts.sql compress.sql thumbnail.sql element.sql attach.sql \
	run.sql backfill.sql import.sql stats.sql serve.sql store.sql object.sql queue.sql worker.sql fetch.sql audit.sql helper.sql)
DATA_built = $(EXTENSION)--$(EXTVERSION).sql

# --- tests -----------------------------------------------------------------

REGRESS = $(patsubst sql/%.sql,%,$(call sources,sql/*.sql))
REGRESS_OPTS = --inputdir=$(src) --load-extension=mediastore
ISOLATION = $(patsubst test/specs/%.spec,%,$(call sources,test/specs/*.spec))
ISOLATION_OPTS = --inputdir=$(src)/test --load-extension=mediastore
TAP_TESTS = 1
PROVE_TESTS ?= test/t/*.pl
comma := ,
ROGUE = test/rogue/mediastore-codec

EXTRA_CLEAN = $(PROGRAMS) mediastore-codec-heif $(ROOM_OBJS) $(COURIER_OBJS) $(MAIN_OBJS) $(ROGUE) test/rogue/rogue.o \
	$(UNIT_PROGRAMS) $(FUZZ_PROGRAMS) fuzz-objects $(ALL_OBJS:.o=.d) $(ALL_OBJS:.o=.gcno) $(ALL_OBJS:.o=.gcda)

# --- flags -----------------------------------------------------------------

# The rooms without Postgres are compiled without its headers in sight.  Their
# objects serve the module too, so they are position-independent.
ROOM_CFLAGS = -std=gnu11 -D_GNU_SOURCE -O2 -g -fPIC -fvisibility=hidden -fno-strict-aliasing -fwrapv \
	-fstack-protector-strong -fno-omit-frame-pointer -Wall -Wmissing-prototypes -Wpointer-arith -Wformat-security
ROOM_LDFLAGS = -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed

# pixel loops
IMAGE_CFLAGS = -O3

clang := $(findstring clang,$(shell $(if $(filter default,$(origin CC)),gcc,$(CC)) --version 2>/dev/null))

ifdef WERROR
PG_CFLAGS += -Wall -Wextra -Werror
PG_CPPFLAGS += -isystem $(shell $(PG_CONFIG) --includedir-server)
ROOM_CFLAGS += -Wall -Wextra -Werror
ifneq ($(clang),)
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument
endif
endif

ifdef SANITIZE
sanitizers = -fsanitize=address,undefined -fno-sanitize-recover=all
PG_CFLAGS += $(sanitizers) -fno-omit-frame-pointer -O1 -DMEDIASTORE_SANITIZE -DMEDIASTORE_UNSEALED
ROOM_CFLAGS += $(sanitizers) -O1 -DMEDIASTORE_SANITIZE -DMEDIASTORE_UNSEALED
IMAGE_CFLAGS = -O1
ROOM_LDFLAGS += $(sanitizers)
SHLIB_LINK += $(sanitizers)
else
ROOM_CPPFLAGS += -D_FORTIFY_SOURCE=2
endif

ifdef COVERAGE
PG_CFLAGS += --coverage -O0
ROOM_CFLAGS += --coverage -O0 -DMEDIASTORE_UNSEALED
IMAGE_CFLAGS = -O0
ROOM_LDFLAGS += --coverage
SHLIB_LINK += --coverage
endif

SHLIB_LINK += -Wl,--version-script=$(src)/src/mediastore.map $(STORE_LIBS)

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# --- objects ---------------------------------------------------------------

MAIN_OBJS = src/helper/codec_main.o src/helper/codec_heif_main.o src/helper/courier_main.o
ROOM_OBJS = $(CODEC_OBJS) $(HEIF_OBJS) $(HTTP_SOURCES:.c=.o) $(DRIVER_OBJS)
ALL_OBJS = $(sort $(OBJS) $(ROOM_OBJS) $(COURIER_OBJS) $(MAIN_OBJS) test/rogue/rogue.o)

# Rules of our own: object directories are made, headers are tracked, and
# each room gets its flags.
COMPILE.room = $(CC) $(ROOM_CFLAGS) $(ROOM_CPPFLAGS) $(COPT) -I$(srcdir)/src -c
track = -MMD -MP -MF $(@:.o=.d)

src/mediastore.o: src/mediastore.c
	@mkdir -p $(@D)
	$(COMPILE.c) $(track) -o $@ $<

src/db/%.o: src/db/%.c
	@mkdir -p $(@D)
	$(COMPILE.c) $(track) -o $@ $<

src/facts/%.o: src/facts/%.c
	@mkdir -p $(@D)
	$(COMPILE.room) $(track) -o $@ $<

src/image/%.o: src/image/%.c
	@mkdir -p $(@D)
	$(COMPILE.room) $(IMAGE_CFLAGS) $(track) -o $@ $<

src/http/%.o: src/http/%.c
	@mkdir -p $(@D)
	$(COMPILE.room) $(track) -o $@ $<

src/store/%.o: src/store/%.c
	@mkdir -p $(@D)
	$(COMPILE.room) $(track) -o $@ $<

src/helper/%.o: src/helper/%.c
	@mkdir -p $(@D)
	$(COMPILE.room) $(track) -o $@ $<

test/rogue/%.o: test/rogue/%.c
	@mkdir -p $(@D)
	$(COMPILE.room) $(track) -o $@ $<

-include $(ALL_OBJS:.o=.d)

# PGXS's own rule makes the bitcode; its directories are those of the objects
$(OBJS:.o=.bc): %.bc: %.o

# --- programs --------------------------------------------------------------

all: $(PROGRAMS)

mediastore-codec: $(CODEC_OBJS) src/helper/codec_main.o
	$(CC) $(ROOM_CFLAGS) $^ $(ROOM_LDFLAGS) $(CODEC_LIBS) -o $@

mediastore-codec-heif: $(CODEC_OBJS) $(HEIF_OBJS) src/helper/codec_heif_main.o
	$(CC) $(ROOM_CFLAGS) $^ $(ROOM_LDFLAGS) $(CODEC_LIBS) $(HEIF_LIBS) -o $@

mediastore-courier: $(COURIER_OBJS) $(DRIVER_OBJS) src/helper/courier_main.o
	$(CC) $(ROOM_CFLAGS) $^ $(ROOM_LDFLAGS) $(COURIER_LIBS) $(STORE_LIBS) $(SECCOMP_LIBS) -o $@

# The test's own program: the same, but what it does is told by the input.
rogue: $(ROGUE)

$(ROGUE): $(CODEC_OBJS) src/helper/codec_main.o test/rogue/rogue.o
	$(CC) $(ROOM_CFLAGS) $^ $(addprefix -Wl$(comma)--wrap=,image_compress sandbox_enter recv) $(ROOM_LDFLAGS) $(CODEC_LIBS) -o $@

install: install-programs
install-programs: $(PROGRAMS)
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_PROGRAM) -m 755 $(PROGRAMS) '$(DESTDIR)$(pkglibdir)/'

uninstall: uninstall-programs
uninstall-programs:
	rm -f $(foreach program,mediastore-codec mediastore-codec-heif mediastore-courier,'$(DESTDIR)$(pkglibdir)/$(program)')

# --- the SQL script --------------------------------------------------------

$(DATA_built): $(SQL_PARTS)
	{ printf '%s\n' '\echo Use "CREATE EXTENSION mediastore" to load this file. \quit'; cat $^; } >$@.tmp
	mv $@.tmp $@

# --- tests -----------------------------------------------------------------

# where the TAP tests find the module and the programs
export MEDIASTORE_BUILD := $(CURDIR)
installcheck: $(if $(strip $(TAP_TESTS)),$(ROGUE))

unit: $(UNIT_PROGRAMS)

$(UNIT_PROGRAMS): %: %.c $(ROOM_OBJS)
	@mkdir -p $(@D)
	$(CC) $(ROOM_CFLAGS) $(ROOM_CPPFLAGS) -I$(srcdir)/src $< $(filter-out src/helper/codec.o,$(filter %.o,$^)) \
		$(ROOM_LDFLAGS) $(CODEC_LIBS) $(HEIF_LIBS) $(COURIER_LIBS) $(STORE_LIBS) -o $@

FUZZ_CC ?= clang
FUZZ_CFLAGS = -std=gnu11 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -fwrapv -fno-strict-aliasing \
	-fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_OBJS = $(addprefix fuzz-objects/,$(FACTS_SOURCES:.c=.o) $(HTTP_SOURCES:.c=.o) $(DRIVER_OBJS) $(IMAGE_SOURCES:.c=.o) \
	$(HEIF_OBJS))

fuzz: $(FUZZ_PROGRAMS)

fuzz-objects/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link $(filter-out -D_FORTIFY_SOURCE=2,$(ROOM_CPPFLAGS)) \
		-I$(srcdir)/src $(track) -c -o $@ $<

-include $(FUZZ_OBJS:.o=.d)

$(FUZZ_PROGRAMS): %: %.c $(FUZZ_OBJS)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer $(filter-out -D_FORTIFY_SOURCE=2,$(ROOM_CPPFLAGS)) \
		-I$(srcdir)/src $< $(filter %.o,$^) $(CODEC_LIBS) $(HEIF_LIBS) $(COURIER_LIBS) $(STORE_LIBS) -o $@

# What test/bench/push measures with.
BENCH_TOOLS = test/bench/sink test/bench/bare_put
EXTRA_CLEAN += $(BENCH_TOOLS)

bench-tools: $(BENCH_TOOLS)

test/bench/sink: test/bench/sink.c
	@mkdir -p $(@D)
	$(CC) $(ROOM_CFLAGS) $< $(ROOM_LDFLAGS) -o $@

test/bench/bare_put: test/bench/bare_put.c $(STORE_SOURCES:.c=.o)
	@mkdir -p $(@D)
	$(CC) $(ROOM_CFLAGS) $(ROOM_CPPFLAGS) $(shell $(PKG_CONFIG) --cflags libcurl) -I$(srcdir)/src $^ \
		$(ROOM_LDFLAGS) $(STORE_LIBS) $(shell $(PKG_CONFIG) --libs libcurl) -o $@

.PHONY: rogue unit fuzz bench-tools install-programs uninstall-programs
