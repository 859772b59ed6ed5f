/* Frames and results of the segmentation runtime in shared memory, for C11 and C++; the whole implementation.
 *
 * One process writes, any number read. Readers never block the writer, always get the newest, never see half of it,
 * and judge themselves whether it may be used. Include this before system headers, or compile with -D_GNU_SOURCE.
 *
 *     iapc_ring ring;
 *     iapc_ring_info info;
 *     if (iapc_ring_open(&ring, "front") != 0) { fputs(ring.problem, stderr); return 1; }
 *     if (iapc_ring_copy(&ring, 0, &info, labels, confidence) == 1 &&
 *         iapc_ring_verdict(&ring, &info, iapc_ring_now_ns(), IAPC_RING_SILENT_NS) == IAPC_RING_FRESH) use(labels);
 *     iapc_ring_close(&ring);
 *
 * The ring NAME is the file /dev/shm/iapc-NAME: a header, then slots, little-endian, every part on a multiple of 64
 * bytes. A file never changes its size or its writer: a new writer makes a new file under the same name. The writer
 * holds a lock for as long as its process lives, which the kernel drops however that ends.
 *
 * All times are nanoseconds of CLOCK_MONOTONIC. Functions return 0 or more, or -1 with a sentence in `problem`.
 * A handle is for one thread at a time.
 */
#ifndef IAPC_RING_H
#define IAPC_RING_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef F_OFD_SETLK
#error "iapc_ring.h needs Linux and must come before system headers; or compile with -D_GNU_SOURCE"
#endif
#if !defined(__GNUC__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || __GCC_ATOMIC_LLONG_LOCK_FREE != 2
#error "iapc_ring.h needs GCC or Clang and a little-endian processor with 64-bit atomics"
#endif

/* What stands before each function; runtime/ring/ring.c exports them instead. */
#ifndef IAPC_RING_API
#define IAPC_RING_API static inline
#endif

#define IAPC_RING_MAGIC UINT64_C(0x474e495243504149) /* "IAPCRING" */
#define IAPC_RING_VERSION 1
#define IAPC_RING_SILENT_NS INT64_C(500000000) /* a writer that says nothing for longer hangs; it speaks every 100 ms */
#define IAPC_RING_MAX_SIDE 65536
#define IAPC_RING_MAX_SLOTS 64

/* What the planes of a slot hold. */
enum {
    IAPC_RING_FRAMES = 1, /* one: height * width * 3 bytes, RGB */
    IAPC_RING_RESULTS = 2 /* two of height * width bytes: labels (train ids), confidence (255 is certainty) */
};

/* Whether what a reader holds may be used now. */
enum {
    IAPC_RING_FRESH = 0,         /* use it */
    IAPC_RING_STALE = 1,         /* older than the deadline, or from the future */
    IAPC_RING_FAULT = 2,         /* the writer says that it is not to be trusted; the reasons say why */
    IAPC_RING_NO_RESULT_YET = 3, /* nothing was written so far */
    IAPC_RING_SILENT = 4,        /* the writer's process lives and hangs */
    IAPC_RING_STOPPED = 5,       /* the writer ended in order: open the ring again */
    IAPC_RING_WRITER_DEAD = 6    /* it was killed or crashed: open the ring again */
};

/* States and reasons of runtime/health/reasons.py, where they are explained. */
enum { IAPC_STATE_OK = 0, IAPC_STATE_DEGRADED = 1, IAPC_STATE_FAULT = 2 };
enum {
    IAPC_REASON_STARTING = 1 << 0,
    IAPC_REASON_DEADLINES_MISSED = 1 << 1,
    IAPC_REASON_ALL_LATE = 1 << 2,
    IAPC_REASON_FRAMES_DROPPED = 1 << 3,
    IAPC_REASON_NO_FRAMES = 1 << 4,
    IAPC_REASON_FRAMES_REPEAT = 1 << 5,
    IAPC_REASON_FRAMES_REFUSED = 1 << 6,
    IAPC_REASON_CLOCK_JUMPED = 1 << 7,
    IAPC_REASON_SOURCE_LOST = 1 << 8,
    IAPC_REASON_OUTPUT_NOT_FINITE = 1 << 9,
    IAPC_REASON_OUTPUT_FROZEN = 1 << 10,
    IAPC_REASON_ENGINE_FAILED = 1 << 11,
    IAPC_REASON_SINK_FAILED = 1 << 12,
    IAPC_REASON_SINK_SLOW = 1 << 13,
    IAPC_REASON_DISK_FULL = 1 << 14,
    IAPC_REASON_THROTTLED = 1 << 15,
    IAPC_REASON_DRIFTED = 1 << 16,
    IAPC_REASON_BUNDLE_REFUSED = 1 << 17,
    IAPC_REASON_STALLED = 1 << 18,
    IAPC_REASON_STOPPED = 1 << 19
};

/* First part of the file; never changes once layout_version is written. A new writer fills the fields marked *. */
typedef struct {
    uint64_t magic;
    uint32_t layout_version; /* written last: 0 while the file is being made */
    uint32_t header_bytes;   /* where the first slot begins */
    uint32_t kind;           /* * */
    uint32_t height;         /* * */
    uint32_t width;          /* * */
    uint32_t num_classes;    /* * 0 for frames */
    uint32_t num_slots;      /* * */
    uint32_t num_planes;
    uint64_t plane_bytes; /* without the padding to a multiple of 64 */
    uint64_t slot_stride; /* from one slot to the next */
    uint64_t file_bytes;
    int64_t deadline_ns; /* * greatest age, from capture, at which a slot is fresh */
    int64_t created_ns;  /* tells one writer of a name from the next */
    int32_t writer_pid;  /* for people: whether the writer lives, its lock says */
    uint8_t reserved[44];
} iapc_ring_layout;

/* How the writer is. The counters are those of `Counters` in runtime/result.py, in that order. */
typedef struct {
    int64_t now_ns; /* the heartbeat */
    uint32_t state;
    uint32_t reasons;
    double drop_ratio;
    int64_t counters[9];
    uint8_t bundle_id[32];
} iapc_ring_status;

/* What is known of one frame or result. `published_ns` and what follows it belong to results. */
typedef struct {
    uint64_t number; /* of the publication: 1, 2, 3, ...; set by `iapc_ring_write` */
    int64_t frame_id;
    int64_t captured_ns;
    int64_t published_ns;
    int64_t stage_ns[5]; /* read, wait, infer, keep, check: they add up to the age when published */
    uint32_t state;      /* when published */
    uint32_t reasons;
    double drop_ratio;
    uint8_t bundle_id[32]; /* SHA-256 of the manifest of the bundle that gave these labels */
} iapc_ring_info;

/* A sequence is 2n once publication n is whole and 2n - 1 while it is written. */
typedef struct {
    uint64_t sequence;
    iapc_ring_status status;
    uint8_t reserved[56];
} iapc_ring_status_block;

typedef struct {
    uint64_t sequence;
    iapc_ring_info info;
} iapc_ring_slot; /* the planes follow */

typedef struct {
    iapc_ring_layout layout;
    uint64_t newest;        /* last whole slot: slot newest % num_slots */
    uint64_t newest_status; /* last whole status: block newest_status % 2 */
    uint8_t reserved[48];
    iapc_ring_status_block statuses[2]; /* two, so that a writer killed in the middle of one leaves the other */
} iapc_ring_header;

/* An open ring. Read `layout` and `problem`; the rest is private. */
typedef struct {
    iapc_ring_layout layout;
    char problem[256];
    char path[80];
    iapc_ring_header *header; /* NULL where not open */
    uint64_t mapped_bytes;
    int fd;
    int is_writer;
} iapc_ring;

#ifdef __cplusplus
#define IAPC_RING_ASSERT static_assert
#else
#define IAPC_RING_ASSERT _Static_assert
#endif
IAPC_RING_ASSERT(sizeof(iapc_ring_layout) == 128, "layout");
IAPC_RING_ASSERT(sizeof(iapc_ring_slot) == 128, "slot");
IAPC_RING_ASSERT(sizeof(iapc_ring_status_block) == 192, "status");
IAPC_RING_ASSERT(sizeof(iapc_ring_header) == 576, "header");

/* ---- readers ------------------------------------------------------------------------------------------------- */

/* Open the ring of this name, whether or not its writer still lives. */
IAPC_RING_API int iapc_ring_open(iapc_ring *ring, const char *name);

/* Copy the newest slot into memory of the caller if its number is above `after`: 1 if copied, 0 if there is none.
 * `first` and `second` take plane_bytes each; NULL leaves a plane out. */
IAPC_RING_API int iapc_ring_copy(iapc_ring *ring, uint64_t after, iapc_ring_info *info, void *first, void *second);

/* To read in place: take the number of a copy without planes, use this memory, and then ask whether it was whole all
 * the while. Forget whatever was computed from it if not. */
IAPC_RING_API const uint8_t *iapc_ring_plane(const iapc_ring *ring, uint64_t number, uint32_t plane);
IAPC_RING_API int iapc_ring_is_whole(const iapc_ring *ring, uint64_t number);

/* Whether the slot that the caller holds may be used at `now_ns`, which must be taken after the copy. `info` NULL or of
 * number 0 asks about the writer alone. A writer is silent when its last heartbeat is older than `silent_ns`. */
IAPC_RING_API int iapc_ring_verdict(iapc_ring *ring, const iapc_ring_info *info, int64_t now_ns, int64_t silent_ns);

/* The verdict as in the enumeration above, without its prefix. */
IAPC_RING_API const char *iapc_ring_verdict_name(int verdict);

/* What the writer said last of itself. */
IAPC_RING_API int iapc_ring_read_status(iapc_ring *ring, iapc_ring_status *status);

/* Whether the writer's process lives: 1 or 0. */
IAPC_RING_API int iapc_ring_has_writer(const iapc_ring *ring);

/* ---- writers ------------------------------------------------------------------------------------------------- */

/* Make a ring, in place of one whose writer is dead. Fill the fields of `wanted` that are marked *, zero the rest. */
IAPC_RING_API int iapc_ring_create(iapc_ring *ring, const char *name, const iapc_ring_layout *wanted);

/* Publish a slot; `second` is NULL for frames. Sets info->number. Say `iapc_ring_beat` too: a slot is no heartbeat. */
IAPC_RING_API int iapc_ring_write(iapc_ring *ring, iapc_ring_info *info, const void *first, const void *second);

/* Say how the writer is; at least every 100 ms. */
IAPC_RING_API int iapc_ring_beat(iapc_ring *ring, const iapc_ring_status *status);

/* ---- both ---------------------------------------------------------------------------------------------------- */

/* Give back the memory; a writer says STOPPED first and takes the name away. May be repeated. */
IAPC_RING_API void iapc_ring_close(iapc_ring *ring);

/* The clock of all times here. */
IAPC_RING_API int64_t iapc_ring_now_ns(void);

/* ---- private ------------------------------------------------------------------------------------------------- */

/* Bytes of the file that are locked, not written: the first by a living writer, the second by whoever makes the file.
 * Two, because taking over must not make a dead writer look alive. The locks belong to the open file, so a reader in
 * the writer's own process does not release them, as it would those of fcntl's older kind. */
enum { IAPC__ALIVE = 0, IAPC__MAKING = 1 };
enum { IAPC__ATTEMPTS = 1000 };

__attribute__((format(printf, 2, 3))) static inline int iapc__fail(iapc_ring *ring, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ring->problem, sizeof ring->problem, format, arguments);
    va_end(arguments);
    return -1;
}

static inline uint64_t iapc__padded(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

static inline int iapc__lock(int fd, int command, int byte) {
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    if (fcntl(fd, command, &lock) != 0) return -1;
    return command == F_OFD_GETLK && lock.l_type != F_UNLCK; /* of a question: whether somebody holds it */
}

/* The fields that follow from those of `wanted`; 0 where those are out of range. */
static inline int iapc__complete(const iapc_ring_layout *wanted, iapc_ring_layout *layout) {
    const int is_frames = wanted->kind == IAPC_RING_FRAMES;
    if ((!is_frames && wanted->kind != IAPC_RING_RESULTS) || wanted->height < 1 || wanted->width < 1 ||
        wanted->height > IAPC_RING_MAX_SIDE || wanted->width > IAPC_RING_MAX_SIDE || wanted->num_slots < 2 ||
        wanted->num_slots > IAPC_RING_MAX_SLOTS || wanted->num_classes > 256 || wanted->deadline_ns < 1)
        return 0;
    memset(layout, 0, sizeof *layout);
    layout->magic = IAPC_RING_MAGIC;
    layout->header_bytes = sizeof(iapc_ring_header);
    layout->kind = wanted->kind;
    layout->height = wanted->height;
    layout->width = wanted->width;
    layout->num_classes = wanted->num_classes;
    layout->num_slots = wanted->num_slots;
    layout->deadline_ns = wanted->deadline_ns;
    layout->num_planes = is_frames ? 1 : 2;
    layout->plane_bytes = (uint64_t)wanted->height * wanted->width * (is_frames ? 3 : 1);
    layout->slot_stride = sizeof(iapc_ring_slot) + layout->num_planes * iapc__padded(layout->plane_bytes);
    layout->file_bytes = layout->header_bytes + layout->num_slots * layout->slot_stride;
    return 1;
}

static inline int iapc__set_path(iapc_ring *ring, const char *name) {
    memset(ring, 0, sizeof *ring);
    ring->fd = -1;
    const size_t length = strlen(name);
    if (length < 1 || length > 64 ||
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != length)
        return iapc__fail(ring, "ring name '%.80s': expected 1 to 64 letters, digits, '.', '_' or '-'", name);
    snprintf(ring->path, sizeof ring->path, "/dev/shm/iapc-%s", name);
    return 0;
}

static inline void iapc__unmap(iapc_ring *ring) {
    if (ring->header != NULL) munmap(ring->header, ring->mapped_bytes);
    if (ring->fd >= 0) close(ring->fd); /* drops the locks */
    ring->header = NULL;
    ring->fd = -1;
}

static inline int iapc__map(iapc_ring *ring, uint64_t bytes, int protection) {
    void *address = mmap(NULL, bytes, protection, MAP_SHARED | MAP_POPULATE, ring->fd, 0);
    if (address == MAP_FAILED) return iapc__fail(ring, "%s cannot be mapped: %s", ring->path, strerror(errno));
    ring->header = (iapc_ring_header *)address;
    ring->mapped_bytes = bytes;
    return 0;
}

static inline iapc_ring_slot *iapc__slot(const iapc_ring *ring, uint64_t number) {
    const uint64_t index = number % ring->layout.num_slots;
    return (iapc_ring_slot *)((uint8_t *)ring->header + ring->layout.header_bytes + index * ring->layout.slot_stride);
}

static inline uint8_t *iapc__plane(const iapc_ring *ring, uint64_t number, uint32_t plane) {
    return (uint8_t *)(iapc__slot(ring, number) + 1) + plane * iapc__padded(ring->layout.plane_bytes);
}

/* Shared memory is read and written in relaxed atomic words: plain copies would race, which C and C++ leave undefined.
 * It is padded, so a last word may reach beyond `bytes` there, never in the caller's memory. */
static inline void iapc__store_words(void *shared, const void *from, uint64_t bytes) {
    uint64_t *to = (uint64_t *)shared;
    for (uint64_t at = 0; at < bytes; at += 8) {
        uint64_t word = 0;
        if (bytes - at >= 8) memcpy(&word, (const uint8_t *)from + at, 8);
        else memcpy(&word, (const uint8_t *)from + at, (size_t)(bytes - at));
        __atomic_store_n(to++, word, __ATOMIC_RELAXED);
    }
}

static inline void iapc__load_words(void *to, const void *shared, uint64_t bytes) {
    const uint64_t *from = (const uint64_t *)shared;
    for (uint64_t at = 0; at < bytes; at += 8) {
        const uint64_t word = __atomic_load_n(from++, __ATOMIC_RELAXED);
        if (bytes - at >= 8) memcpy((uint8_t *)to + at, &word, 8);
        else memcpy((uint8_t *)to + at, &word, (size_t)(bytes - at));
    }
}

/* The fence keeps the odd sequence before every word that follows it: a reader that saw one such word, and then
 * fences, sees the odd sequence too, on any processor. */
static inline void iapc__begin(uint64_t *sequence, uint64_t number) {
    __atomic_store_n(sequence, 2 * number - 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void iapc__end(uint64_t *sequence, uint64_t number, uint64_t *newest) {
    __atomic_store_n(sequence, 2 * number, __ATOMIC_RELEASE);
    __atomic_store_n(newest, number, __ATOMIC_RELEASE);
}

static inline int iapc__is_begun(const uint64_t *sequence, uint64_t number) {
    return __atomic_load_n(sequence, __ATOMIC_ACQUIRE) == 2 * number;
}

static inline int iapc__is_still(const uint64_t *sequence, uint64_t number) {
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(sequence, __ATOMIC_RELAXED) == 2 * number;
}

/* Take the name: 0 with an empty file under it that this process alone may fill. */
static inline int iapc__claim(iapc_ring *ring) {
    for (;;) {
        struct stat opened, named;
        uint64_t magic = 0;
        ring->fd = open(ring->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (ring->fd < 0) return iapc__fail(ring, "%s cannot be created: %s", ring->path, strerror(errno));
        if (iapc__lock(ring->fd, F_OFD_SETLK, IAPC__MAKING) != 0) {
            iapc_ring_layout layout;
            if (errno != EAGAIN && errno != EACCES)
                return iapc__fail(ring, "%s cannot be locked: %s", ring->path, strerror(errno));
            if (pread(ring->fd, &layout, sizeof layout, 0) != (ssize_t)sizeof layout) layout.writer_pid = 0;
            return iapc__fail(ring, "%s is being written by process %d; stop it or choose another name", ring->path,
                              (int)layout.writer_pid);
        }
        /* While this one waited for the lock, another may have put a new file under the name. */
        if (fstat(ring->fd, &opened) == 0 && stat(ring->path, &named) == 0 && opened.st_ino == named.st_ino) {
            if (opened.st_size == 0) return 0;
            if (pread(ring->fd, &magic, sizeof magic, 0) != (ssize_t)sizeof magic || magic != IAPC_RING_MAGIC)
                return iapc__fail(ring, "%s is no ring; delete it or choose another name", ring->path);
            unlink(ring->path); /* its writer is dead */
        }
        close(ring->fd);
    }
}

static inline int iapc__fill(iapc_ring *ring) {
    const uint64_t magic = IAPC_RING_MAGIC;
    iapc_ring_status status;
    int problem;
    /* At once, so that whoever comes after a crash in here knows what this file is. */
    if (pwrite(ring->fd, &magic, sizeof magic, 0) != (ssize_t)sizeof magic ||
        iapc__lock(ring->fd, F_OFD_SETLK, IAPC__ALIVE) != 0)
        return iapc__fail(ring, "%s cannot be written: %s", ring->path, strerror(errno));
    /* Memory that is promised now cannot be missing later, when that would be SIGBUS. */
    do problem = posix_fallocate(ring->fd, 0, (off_t)ring->layout.file_bytes);
    while (problem == EINTR);
    if (problem != 0)
        return iapc__fail(ring, "%s: no %llu bytes of shared memory (%s); use fewer slots or enlarge /dev/shm",
                          ring->path, (unsigned long long)ring->layout.file_bytes, strerror(problem));
    if (iapc__map(ring, ring->layout.file_bytes, PROT_READ | PROT_WRITE) != 0) return -1;
    ring->layout.created_ns = iapc_ring_now_ns();
    ring->layout.writer_pid = (int32_t)getpid();
    ring->header->layout = ring->layout; /* its layout_version is still 0 */
    memset(&status, 0, sizeof status);
    status.now_ns = ring->layout.created_ns;
    status.state = IAPC_STATE_FAULT;
    status.reasons = IAPC_REASON_STARTING;
    ring->is_writer = 1;
    iapc_ring_beat(ring, &status);
    ring->layout.layout_version = IAPC_RING_VERSION;
    __atomic_store_n(&ring->header->layout.layout_version, IAPC_RING_VERSION, __ATOMIC_RELEASE);
    return 0;
}

static inline int iapc__check(iapc_ring *ring) {
    iapc_ring_layout found, *layout = &ring->layout;
    const uint64_t magic = __atomic_load_n(&ring->header->layout.magic, __ATOMIC_RELAXED);
    const uint32_t version = __atomic_load_n(&ring->header->layout.layout_version, __ATOMIC_ACQUIRE);
    if (magic != IAPC_RING_MAGIC) return iapc__fail(ring, "%s is no ring; delete it", ring->path);
    if (version == 0)
        return iapc__fail(ring, "%s is not ready: its writer is making it, or died doing so; try again", ring->path);
    if (version != IAPC_RING_VERSION)
        return iapc__fail(ring, "%s has layout version %u, this reader knows %d; build both from one version",
                          ring->path, version, IAPC_RING_VERSION);
    found = ring->header->layout;
    if (!iapc__complete(&found, layout))
        return iapc__fail(ring, "%s is damaged: its sizes are out of range; start its writer again", ring->path);
    layout->layout_version = found.layout_version;
    layout->created_ns = found.created_ns;
    layout->writer_pid = found.writer_pid;
    if (memcmp(layout, &found, sizeof found) != 0)
        return iapc__fail(ring, "%s is damaged: its sizes contradict each other; start its writer again", ring->path);
    if (layout->file_bytes > ring->mapped_bytes)
        return iapc__fail(ring, "%s is cut off: %llu bytes, expected %llu; start its writer again", ring->path,
                          (unsigned long long)ring->mapped_bytes, (unsigned long long)layout->file_bytes);
    return 0;
}

IAPC_RING_API int iapc_ring_create(iapc_ring *ring, const char *name, const iapc_ring_layout *wanted) {
    if (iapc__set_path(ring, name) != 0) return -1;
    if (!iapc__complete(wanted, &ring->layout))
        return iapc__fail(ring,
                          "ring of kind %u, %u x %u, %u classes, %u slots, deadline %lld ns: expected kind 1 or 2, "
                          "sides of 1 to %d, up to 256 classes, 2 to %d slots and a deadline above 0",
                          wanted->kind, wanted->height, wanted->width, wanted->num_classes, wanted->num_slots,
                          (long long)wanted->deadline_ns, IAPC_RING_MAX_SIDE, IAPC_RING_MAX_SLOTS);
    if (iapc__claim(ring) != 0) {
        iapc__unmap(ring);
        return -1;
    }
    if (iapc__fill(ring) != 0) {
        unlink(ring->path);
        iapc__unmap(ring);
        return -1;
    }
    return 0;
}

IAPC_RING_API int iapc_ring_open(iapc_ring *ring, const char *name) {
    struct stat file;
    int problem;
    if (iapc__set_path(ring, name) != 0) return -1;
    ring->fd = open(ring->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (ring->fd < 0)
        return iapc__fail(ring, "%s cannot be opened: %s%s", ring->path, strerror(errno),
                          errno == ENOENT ? "; start its writer first" : "");
    if (fstat(ring->fd, &file) != 0 || !S_ISREG(file.st_mode) || file.st_size < (off_t)sizeof(iapc_ring_header))
        problem = iapc__fail(ring, "%s is no ring, or not ready: it is shorter than a header; try again", ring->path);
    else if (file.st_uid != geteuid() && geteuid() != 0) /* anyone may put files into /dev/shm */
        problem = iapc__fail(ring, "%s belongs to user %u, this is user %u; run both as one user", ring->path,
                             file.st_uid, geteuid());
    else
        problem = iapc__map(ring, (uint64_t)file.st_size, PROT_READ) != 0 || iapc__check(ring) != 0;
    if (problem != 0) iapc__unmap(ring);
    return problem != 0 ? -1 : 0;
}

IAPC_RING_API void iapc_ring_close(iapc_ring *ring) {
    if (ring->header != NULL && ring->is_writer) {
        struct stat opened, named;
        iapc_ring_status status;
        iapc_ring_read_status(ring, &status);
        status.now_ns = iapc_ring_now_ns();
        status.state = IAPC_STATE_FAULT;
        status.reasons |= IAPC_REASON_STOPPED;
        iapc_ring_beat(ring, &status);
        if (fstat(ring->fd, &opened) == 0 && stat(ring->path, &named) == 0 && opened.st_ino == named.st_ino)
            unlink(ring->path);
    }
    iapc__unmap(ring);
}

IAPC_RING_API int iapc_ring_write(iapc_ring *ring, iapc_ring_info *info, const void *first, const void *second) {
    if (ring->header == NULL || !ring->is_writer)
        return iapc__fail(ring, "this ring is not open for writing; create it first");
    const uint64_t number = info->number = ring->header->newest + 1;
    iapc_ring_slot *slot = iapc__slot(ring, number);
    iapc__begin(&slot->sequence, number);
    iapc__store_words(&slot->info, info, sizeof *info);
    iapc__store_words(iapc__plane(ring, number, 0), first, ring->layout.plane_bytes);
    if (ring->layout.num_planes == 2) iapc__store_words(iapc__plane(ring, number, 1), second, ring->layout.plane_bytes);
    iapc__end(&slot->sequence, number, &ring->header->newest);
    return 0;
}

IAPC_RING_API int iapc_ring_beat(iapc_ring *ring, const iapc_ring_status *status) {
    if (ring->header == NULL || !ring->is_writer)
        return iapc__fail(ring, "this ring is not open for writing; create it first");
    const uint64_t number = ring->header->newest_status + 1;
    iapc_ring_status_block *block = &ring->header->statuses[number % 2];
    iapc__begin(&block->sequence, number);
    iapc__store_words(&block->status, status, sizeof *status);
    iapc__end(&block->sequence, number, &ring->header->newest_status);
    return 0;
}

IAPC_RING_API int iapc_ring_copy(iapc_ring *ring, uint64_t after, iapc_ring_info *info, void *first, void *second) {
    if (ring->header == NULL) return iapc__fail(ring, "this ring is closed; open it again");
    for (int attempt = 0; attempt < IAPC__ATTEMPTS; attempt++) {
        const uint64_t number = __atomic_load_n(&ring->header->newest, __ATOMIC_ACQUIRE);
        if (number <= after) return 0;
        const iapc_ring_slot *slot = iapc__slot(ring, number);
        if (!iapc__is_begun(&slot->sequence, number)) continue;
        iapc__load_words(info, &slot->info, sizeof *info);
        if (first != NULL) iapc__load_words(first, iapc__plane(ring, number, 0), ring->layout.plane_bytes);
        if (second != NULL && ring->layout.num_planes == 2)
            iapc__load_words(second, iapc__plane(ring, number, 1), ring->layout.plane_bytes);
        if (iapc__is_still(&slot->sequence, number)) return 1;
    }
    return iapc__fail(ring, "%s is written faster than it can be read; use more slots than %u", ring->path,
                      ring->layout.num_slots);
}

IAPC_RING_API const uint8_t *iapc_ring_plane(const iapc_ring *ring, uint64_t number, uint32_t plane) {
    return iapc__plane(ring, number, plane);
}

IAPC_RING_API int iapc_ring_is_whole(const iapc_ring *ring, uint64_t number) {
    return iapc__is_still(&iapc__slot(ring, number)->sequence, number);
}

IAPC_RING_API int iapc_ring_read_status(iapc_ring *ring, iapc_ring_status *status) {
    memset(status, 0, sizeof *status);
    if (ring->header == NULL) return iapc__fail(ring, "this ring is closed; open it again");
    for (int attempt = 0; attempt < IAPC__ATTEMPTS; attempt++) {
        const uint64_t number = __atomic_load_n(&ring->header->newest_status, __ATOMIC_ACQUIRE);
        const iapc_ring_status_block *block = &ring->header->statuses[number % 2];
        if (!iapc__is_begun(&block->sequence, number)) continue;
        iapc__load_words(status, &block->status, sizeof *status);
        if (iapc__is_still(&block->sequence, number)) return 0;
    }
    return iapc__fail(ring, "the status in %s changes faster than it can be read", ring->path);
}

IAPC_RING_API int iapc_ring_has_writer(const iapc_ring *ring) {
    return ring->header != NULL && iapc__lock(ring->fd, F_OFD_GETLK, IAPC__ALIVE) == 1;
}

IAPC_RING_API int iapc_ring_verdict(iapc_ring *ring, const iapc_ring_info *info, int64_t now_ns, int64_t silent_ns) {
    iapc_ring_status status;
    const int is_told = iapc_ring_read_status(ring, &status) == 0;
    if (is_told && (status.reasons & IAPC_REASON_STOPPED)) return IAPC_RING_STOPPED;
    if (!iapc_ring_has_writer(ring)) return IAPC_RING_WRITER_DEAD;
    if (!is_told || now_ns - status.now_ns > silent_ns) return IAPC_RING_SILENT;
    if (info == NULL || info->number == 0) return IAPC_RING_NO_RESULT_YET;
    /* A result that was published in a fault stays one, whatever the writer says since. */
    if (status.state == IAPC_STATE_FAULT || info->state == IAPC_STATE_FAULT) return IAPC_RING_FAULT;
    if (info->captured_ns > now_ns || now_ns - info->captured_ns > ring->layout.deadline_ns) return IAPC_RING_STALE;
    return IAPC_RING_FRESH;
}

IAPC_RING_API const char *iapc_ring_verdict_name(int verdict) {
    static const char *const names[] = {"FRESH",  "STALE",   "FAULT",      "NO_RESULT_YET",
                                        "SILENT", "STOPPED", "WRITER_DEAD"};
    return verdict >= 0 && verdict < 7 ? names[verdict] : "UNKNOWN";
}

IAPC_RING_API int64_t iapc_ring_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
