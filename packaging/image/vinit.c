/*
 * The first program of the reference machine's small initrd: loads modules, opens the dm-verity root that the command line
 * names by its root hash, mounts it and hands over. Any failure is a reboot, which costs one try of the boot entry.
 *
 * Partitions are found as the Discoverable Partitions Specification says: the root's unique GUID is the first half of the root
 * hash, the tree's is the second half. The kernel does not tell partition GUIDs in uevents, so the partition tables are read.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>
#include <linux/dm-ioctl.h>

#define SECTOR 512
#define HASH_DIGITS 64
#define DEVICE_WAIT_STEPS 500
#define DEVICE_WAIT_MICROSECONDS 10000
#define PM_TIMER_HERTZ 3579545.0
#define PM_TIMER_MASK 0xffffffu
#define CLOCK_TICKS 107386u
#define CLOCK_SOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"

static char command_line[4096];

static void say(const char *what, const char *detail)
{
    FILE *log = fopen("/dev/kmsg", "w");
    if (!log)
        return;
    fprintf(log, "<0>vinit: %s %s\n", what, detail);
    fclose(log);
}

static void give_up(const char *what, const char *detail)
{
    say(what, detail);
    say("rebooting", "");
    sync();
    reboot(RB_AUTOBOOT);
    for (;;)
        pause();
}

/* The value of the last "name=" on the command line, or an empty string. */
static void option(const char *name, char *value, size_t size)
{
    char copy[sizeof command_line], *rest = copy, *word;
    size_t length = strlen(name);

    strcpy(copy, command_line);
    value[0] = 0;
    while ((word = strsep(&rest, " \n")))
        if (!strncmp(word, name, length))
            snprintf(value, size, "%s", word + length);
}

static void mount_kernel_file_systems(void)
{
    mkdir("/proc", 0555);
    mkdir("/sys", 0555);
    mkdir("/dev", 0755);
    mkdir("/run", 0755);
    mkdir("/sysroot", 0755);
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
    mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755");
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
}

static void read_command_line(void)
{
    int file = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? 0 : read(file, command_line, sizeof command_line - 1);
    command_line[got > 0 ? got : 0] = 0;
    if (file >= 0)
        close(file);
}

/* The port of the power management timer, or 0. */
static unsigned pm_timer_port(void)
{
    char line[128];
    unsigned port = 0;
    FILE *ports = fopen("/proc/ioports", "r");

    while (ports && fgets(line, sizeof line, ports))
        if (strstr(line, "ACPI PM_TMR"))
            port = strtoul(line, 0, 16);
    if (ports)
        fclose(ports);
    return port;
}

/* How much faster the kernel's clock runs than that timer, measured for 30 ms. */
static double clock_pace(unsigned port)
{
    struct timespec begin, end;
    unsigned first = inl(port), ticks;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    while ((ticks = (inl(port) - first) & PM_TIMER_MASK) < CLOCK_TICKS)
        ;
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((end.tv_sec - begin.tv_sec) + (end.tv_nsec - begin.tv_nsec) / 1e9) / (ticks / PM_TIMER_HERTZ);
}

/*
 * On a busy host an emulated processor may be measured wrong by more than ten times when the kernel starts, and then every timeout is
 * over too soon. The timer of the power management is as fast as it says.
 */
static void check_clock(void)
{
    unsigned port = pm_timer_port();
    double pace = 1;

    if (!port || ioperm(port, 4, 1))
        return;
    for (int attempt = 0; attempt < 3; attempt++) {
        pace = clock_pace(port);
        if (pace > 0.5 && pace < 2)
            return;
    }
    FILE *source = fopen(CLOCK_SOURCE, "w");
    int failed = !source || fputs("acpi_pm", source) < 0;
    failed |= source && fclose(source);
    say("the clock runs wild,", failed ? "and no other can be had" : "acpi_pm takes its place");
}

/* The list names them so that each comes after what it needs. */
static void load_modules(const char *list)
{
    char name[128], path[160];
    FILE *order = fopen(list, "r");

    if (!order)
        give_up("no list of modules", list);
    while (fgets(name, sizeof name, order)) {
        name[strcspn(name, "\n")] = 0;
        snprintf(path, sizeof path, "/modules/%s", name);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0 || (syscall(SYS_finit_module, file, "", 0) && errno != EEXIST))
            say("cannot load the module", name);
        if (file >= 0)
            close(file);
    }
    fclose(order);
}

/* What the root does not need is loaded beside opening it. The service manager waits for whatever it misses. */
static void load_later_modules(void)
{
    pid_t child = fork();

    if (child < 0)
        load_modules("/modules/later");
    if (child)
        return;
    load_modules("/modules/later");
    _exit(0);
}

/* GPT writes the first three fields of a GUID little-endian and shows them big-endian. */
static void guid_text(const uint8_t *guid, char *text)
{
    static const int shown[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int i = 0; i < 16; i++)
        sprintf(text + 2 * i, "%02x", guid[shown[i]]);
}

/* The number of the partition with this GUID (32 hex digits) on one disk, or 0. */
static unsigned partition_on(const char *disk, const char *guid)
{
    uint8_t header[SECTOR], entry[128];
    uint64_t table;
    uint32_t count, size;
    unsigned found = 0;
    char text[40];
    int file = open(disk, O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return 0;
    if (pread(file, header, SECTOR, SECTOR) == SECTOR && !memcmp(header, "EFI PART", 8)) {
        memcpy(&table, header + 72, 8);
        memcpy(&count, header + 80, 4);
        memcpy(&size, header + 84, 4);
        for (unsigned i = 0; i < count && i < 128 && !found; i++) {
            if (pread(file, entry, sizeof entry, table * SECTOR + (uint64_t)i * size) != sizeof entry)
                break;
            guid_text(entry + 16, text);
            if (!strcasecmp(text, guid))
                found = i + 1;
        }
    }
    close(file);
    return found;
}

static int find_once(const char *guid, char *device, size_t size)
{
    struct dirent *disk;
    DIR *disks = opendir("/sys/block");
    int found = 0;

    while (disks && !found && (disk = readdir(disks))) {
        char path[300];
        if (disk->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/dev/%s", disk->d_name);
        unsigned number = partition_on(path, guid);
        if (!number)
            continue;
        int digit_last = strchr("0123456789", path[strlen(path) - 1]) != 0;
        snprintf(device, size, "%s%s%u", path, digit_last ? "p" : "", number);
        found = !access(device, F_OK);
    }
    if (disks)
        closedir(disks);
    return found;
}

/* Waits for the partition: disks appear a moment after their driver is loaded. */
static void find_partition(const char *hash_half, char *device, size_t size)
{
    char guid[33];

    snprintf(guid, sizeof guid, "%.32s", hash_half);
    for (int i = 0; i < DEVICE_WAIT_STEPS; i++) {
        if (find_once(guid, device, size))
            return;
        usleep(DEVICE_WAIT_MICROSECONDS);
    }
    give_up("no partition has the GUID", guid);
}

struct verity_superblock {
    uint8_t signature[8];
    uint32_t version, hash_type;
    uint8_t uuid[16];
    char algorithm[32];
    uint32_t data_block_size, hash_block_size;
    uint64_t data_blocks;
    uint16_t salt_size;
    uint8_t padding[6];
    uint8_t salt[256];
} __attribute__((packed));

static void read_superblock(const char *device, struct verity_superblock *superblock)
{
    int file = open(device, O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, superblock, sizeof *superblock) != sizeof *superblock)
        give_up("cannot read the hash tree on", device);
    close(file);
    if (memcmp(superblock->signature, "verity\0\0", 8) || superblock->salt_size > sizeof superblock->salt)
        give_up("no hash tree on", device);
}

static union {
    struct dm_ioctl header;
    char bytes[8192];
} request;

static void map_request(int control, unsigned long operation, const char *what)
{
    if (ioctl(control, operation, &request))
        give_up(what, strerror(errno));
}

static void new_request(void)
{
    memset(&request, 0, sizeof request);
    request.header.version[0] = DM_VERSION_MAJOR;
    request.header.data_size = sizeof request;
    request.header.data_start = sizeof request.header;
    strcpy(request.header.name, "root");
}

static void describe_target(const char *data, const char *tree, const char *root_hash, const struct verity_superblock *superblock)
{
    struct dm_target_spec *target = (void *)(request.bytes + sizeof request.header);
    char *parameters = (char *)(target + 1);
    char salt[2 * sizeof superblock->salt + 1] = "-";

    for (int i = 0; i < superblock->salt_size; i++)
        sprintf(salt + 2 * i, "%02x", superblock->salt[i]);
    request.header.target_count = 1;
    request.header.flags = DM_READONLY_FLAG;
    target->length = superblock->data_blocks * (superblock->data_block_size / SECTOR);
    strcpy(target->target_type, "verity");
    sprintf(parameters, "%u %s %s %u %u %llu 1 %.32s %s %s 1 restart_on_corruption", superblock->hash_type, data, tree,
            superblock->data_block_size, superblock->hash_block_size, (unsigned long long)superblock->data_blocks,
            superblock->algorithm, root_hash, salt);
    target->next = sizeof *target + strlen(parameters) + 1;
}

/* Opens the verified device; `device` becomes its node. */
static void open_verity(const char *data, const char *tree, const char *root_hash, char *device, size_t size)
{
    struct verity_superblock superblock;
    int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);

    if (control < 0)
        give_up("no device mapper", "");
    read_superblock(tree, &superblock);
    new_request();
    strcpy(request.header.uuid, "CRYPT-VERITY-root");
    map_request(control, DM_DEV_CREATE, "cannot create the verified device:");
    unsigned number = minor(request.header.dev);
    new_request();
    describe_target(data, tree, root_hash, &superblock);
    map_request(control, DM_TABLE_LOAD, "cannot load the verity table:");
    new_request();
    map_request(control, DM_DEV_SUSPEND, "cannot start the verified device:");
    close(control);
    snprintf(device, size, "/dev/dm-%u", number);
    if (symlink("../dm-0", "/dev/mapper/root"))
        say("no link for", device);
}

static void mount_root(void)
{
    char root_hash[HASH_DIGITS + 1], data[320], tree[320], device[320];

    option("roothash=", root_hash, sizeof root_hash);
    if (strlen(root_hash) != HASH_DIGITS)
        give_up("the command line has no root hash:", root_hash);
    find_partition(root_hash, data, sizeof data);
    find_partition(root_hash + HASH_DIGITS / 2, tree, sizeof tree);
    open_verity(data, tree, root_hash, device, sizeof device);
    if (mount(device, "/sysroot", "erofs", MS_RDONLY, 0))
        give_up("cannot mount the root:", strerror(errno));
}

/* Asks for the files that every start needs, whole and at once: page by page, each would wait for the disk and its digest. */
static void read_ahead(void)
{
    char name[128], path[160];
    struct stat about;
    FILE *list = fopen("/read-ahead", "r");

    if (!list || fork())
        return;
    while (fgets(name, sizeof name, list)) {
        name[strcspn(name, "\n")] = 0;
        snprintf(path, sizeof path, "/sysroot%s", name);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file >= 0 && !fstat(file, &about))
            readahead(file, 0, about.st_size);
        if (file >= 0)
            close(file);
    }
    _exit(0);
}

static void switch_root(void)
{
    static const char *const moved[] = {"/dev", "/proc", "/sys", "/run"};
    static char *const arguments[] = {"/sbin/init", 0};
    char target[32];

    for (unsigned i = 0; i < sizeof moved / sizeof *moved; i++) {
        snprintf(target, sizeof target, "/sysroot%s", moved[i]);
        mount(moved[i], target, 0, MS_MOVE, 0);
    }
    if (chdir("/sysroot") || mount(".", "/", 0, MS_MOVE, 0) || chroot(".") || chdir("/"))
        give_up("cannot switch to the root:", strerror(errno));
    int console = open("/dev/console", O_RDWR);
    for (int i = 0; console >= 0 && i < 3; i++)
        dup2(console, i);
    execv("/usr/lib/systemd/systemd", arguments);
    give_up("cannot start systemd:", strerror(errno));
}

int main(void)
{
    mount_kernel_file_systems();
    read_command_line();
    check_clock();
    load_modules("/modules/order");
    load_later_modules();
    mount_root();
    read_ahead();
    switch_root();
}
