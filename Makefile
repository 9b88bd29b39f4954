# Each target works on its own on a fresh clone: it fetches its dependencies first.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH):/usr/sbin:/sbin

# Thousands of short programs are started, each of which would compile the same sources again.
test test-etcd test-box test-vm: export NODE_COMPILE_CACHE := $(CURDIR)/node_modules/.cache/compile

.PHONY: demo demo-image check test mutate test-etcd test-box test-vm test-tutorial bench build install docs shell test-packages packages binary release
.DEFAULT_GOAL := test

# Node.js itself comes with the packages, so the machine's own may be old; npm is required.
node_modules/.installed: package.json package-lock.json
	npm ci
	touch $@

# REPORTER=spec names every test; the slowest are always listed.
REPORT = --test-reporter=$(or $(REPORTER),$(1)) --test-reporter-destination=stdout --test-reporter=./test/support/slowest.ts --test-reporter-destination=stdout

# A real system in a virtual machine updates itself, and falls back from a broken release.
demo: node_modules/.installed
	@if packaging/install-tools vm && node test/vm/prepare.ts; then node test/vm/demo.ts; \
	else echo 'No virtual machine is available here; the same story on a disk image:'; $(MAKE) --no-print-directory demo-image; fi

# The same story without a virtual machine, without root, in less than a minute.
demo-image: node_modules/.installed
	packaging/install-tools demo
	node test/vm/demo-image.ts

check: node_modules/.installed
	tsc
	biome ci .

# Some tests wait: one more than there are processors keeps them busy.
test: node_modules/.installed
	packaging/install-tools test
	node --test $(call REPORT,dot) --test-concurrency=$(shell expr $$(nproc) + 1) 'test/**/*.test.ts'

# Mutations of critical code that no test detects, one at a time in a copy of the tree. SEED=2 draws others; FILES="src/…" limits them to these files.
mutate: node_modules/.installed
	packaging/install-tools test
	node test/mutate/mutate.ts --minutes $(or $(MINUTES),10) --seed $(or $(SEED),1) $(if $(EACH),--each $(EACH)) $(FILES)

# The lock and the store of the fleet against a real etcd, whose members are killed, frozen and filled.
test-etcd: node_modules/.installed
	packaging/install-tools etcd
	node --test $(call REPORT,dot) --test-concurrency=1 'test/etcd/*.etcd.ts'

# A host in namespaces: the real agent under the real systemd on a real disk, without a virtual machine. As root.
test-box: node_modules/.installed
	packaging/install-tools box
	node --test $(call REPORT,spec) --test-concurrency=$(shell expr $$(nproc) + 1) 'test/box/*.box.ts'

# N=100 cuts the power that often instead of 4 times.
test-vm: node_modules/.installed
	packaging/install-tools vm
	node test/vm/prepare.ts
	node --test $(call REPORT,spec) --test-concurrency=2 'test/vm/*.vm.ts'

# The packages on Debian: lintian, installation, upgrade, removal, the same bytes twice, sizes, start time. As root; downloads Debian once.
test-packages: packages binary
	packaging/install-tools test-packages
	node --test $(call REPORT,spec) --test-concurrency=2 'test/packages/*.deb.ts'

# docs/tutorial.md, command by command, in a fresh Debian root with nothing but the packages; as root, half an hour.
test-tutorial:
	$(MAKE) --no-print-directory packages ARCH=$(shell dpkg --print-architecture)
	packaging/install-tools vm
	test/vm/tutorial

# A root shell in the reference machine.
shell: node_modules/.installed
	packaging/install-tools vm
	node test/vm/prepare.ts
	node test/vm/shell.ts

# Compares Tandem with other updaters on real releases, as root: takes about three hours, and rewrites docs/benchmarks.md.
# BENCH=quick uses small releases and one round, takes a few minutes, and records nothing.
bench: node_modules/.installed
	packaging/install-tools bench
ifeq ($(BENCH),quick)
	node bench/install.ts --size 256 --rounds 2
	node bench/compare.ts --no-record
	node bench/soft-reboot.ts --rounds 3
	packaging/install-tools vm
	node bench/outage.ts --rounds 1
else
	node bench/install.ts
	node bench/compare.ts --rounds 3
	node bench/report.ts
	node bench/soft-reboot.ts
	packaging/install-tools vm
	node bench/outage.ts
	packaging/install-tools etcd
	node bench/serving.ts
	node bench/lock-latency.ts
	node bench/load.ts --store sqlite
	node bench/load.ts --store etcd
	node bench/rollout.ts
endif

build: node_modules/.installed
	node packaging/build.ts

# The files of a host, below DESTDIR; in a tree with systemd, its units are enabled as well. ARCH=arm64 or NODE=path chooses the runtime,
# PACKAGES="tandem tandem-server" the parts.
# Only from the command line: npm and others set such variables for their own purposes.
given = $(if $(filter command,$(firstword $(origin $(1)))),$(value $(1)))
install: export DESTDIR := $(value DESTDIR)
install: export ARCH := $(call given,ARCH)
install: export NODE := $(call given,NODE)
install: build
	packaging/install $(or $(call given,PACKAGES),tandem)

# Debian packages for amd64 and arm64 in dist/packages; ARCH=amd64 builds for one.
packages: build
	packaging/install-tools packages
	packaging/packages $(call given,ARCH)

# The whole program in one executable, for amd64 and arm64 or for ARCH: dist/updatectl-linux-x64, -arm64.
binary: build
	packaging/install-tools packages
	node packaging/binary.ts $(call given,ARCH)

# The folder that is published, in dist/release. KEY=path signs its checksums.
release: node_modules/.installed
	packaging/install-tools release
	packaging/release check
	$(MAKE) --no-print-directory packages binary
	packaging/release

docs: node_modules/.installed
	node packaging/docs.ts
