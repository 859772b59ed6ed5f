/* Writers and readers of a ring of results whose every pixel tells the frame it belongs to.
 *
 *     torture write NAME NUM_SLOTS       at full speed, until killed
 *     torture die NAME                   two results, then half of the third, then SIGKILL
 *     torture read NAME NUM_READS        exit status 1 as soon as a slot is not of one frame
 *     torture peek NAME NUM_READS        the same in place, without copying
 */
#include "iapc_ring.h"

#include <signal.h>
#include <stdlib.h>

#define HEIGHT 96u
#define WIDTH 123u /* planes whose last word is partly padding */
#define NUM_PIXELS (HEIGHT * WIDTH)

static int fail(const char *problem) {
    fprintf(stderr, "%s\n", problem);
    return 1;
}

static void fill(uint8_t *labels, uint8_t *confidence, iapc_ring_info *info, int64_t frame_id) {
    memset(info, 0, sizeof *info);
    info->frame_id = frame_id;
    info->captured_ns = iapc_ring_now_ns();
    info->bundle_id[31] = (uint8_t)frame_id;
    memset(labels, (int)(frame_id % 251), NUM_PIXELS);
    memset(confidence, 255 - (int)(frame_id % 251), NUM_PIXELS);
}

static int is_one_frame(const iapc_ring_info *info, const uint8_t *labels, const uint8_t *confidence) {
    const uint8_t expected = (uint8_t)(info->frame_id % 251);
    int num_wrong = info->frame_id != (int64_t)info->number || info->bundle_id[31] != (uint8_t)info->frame_id;
    for (size_t i = 0; i < NUM_PIXELS; i++) num_wrong += labels[i] != expected || confidence[i] != 255 - expected;
    return num_wrong == 0;
}

static int write_results(const char *name, uint32_t num_slots, int is_dying) {
    static uint8_t labels[NUM_PIXELS], confidence[NUM_PIXELS];
    iapc_ring ring;
    iapc_ring_info info;
    iapc_ring_status status = {0};
    iapc_ring_layout wanted = {0};
    wanted.kind = IAPC_RING_RESULTS;
    wanted.height = HEIGHT;
    wanted.width = WIDTH;
    wanted.num_classes = 251;
    wanted.num_slots = num_slots;
    wanted.deadline_ns = INT64_C(3600000000000);
    if (iapc_ring_create(&ring, name, &wanted) != 0) return fail(ring.problem);
    for (int64_t frame_id = 1; !is_dying || frame_id <= 2; frame_id++) {
        fill(labels, confidence, &info, frame_id);
        status.now_ns = iapc_ring_now_ns();
        if (iapc_ring_write(&ring, &info, labels, confidence) != 0 || iapc_ring_beat(&ring, &status) != 0)
            return fail(ring.problem);
    }
    fill(labels, confidence, &info, 3);
    iapc__begin(&iapc__slot(&ring, 3)->sequence, 3);
    iapc__store_words(&iapc__slot(&ring, 3)->info, &info, sizeof info);
    iapc__store_words(iapc__plane(&ring, 3, 0), labels, NUM_PIXELS / 2);
    return raise(SIGKILL);
}

static int read_results(const char *name, long num_reads, int is_in_place) {
    static uint8_t labels[NUM_PIXELS], confidence[NUM_PIXELS];
    iapc_ring ring;
    iapc_ring_info info = {0};
    long num_overtaken = 0;
    if (iapc_ring_open(&ring, name) != 0) return fail(ring.problem);
    for (long num_read = 0; num_read < num_reads;) {
        const uint8_t *first = is_in_place ? NULL : labels, *second = is_in_place ? NULL : confidence;
        const int has_new = iapc_ring_copy(&ring, 0, &info, (void *)first, (void *)second);
        if (has_new < 0) return fail(ring.problem);
        if (!has_new) continue;
        if (is_in_place) {
            first = iapc_ring_plane(&ring, info.number, 0);
            second = iapc_ring_plane(&ring, info.number, 1);
        }
        const int is_good = is_one_frame(&info, first, second);
        if (is_in_place && !iapc_ring_is_whole(&ring, info.number)) num_overtaken++;
        else if (!is_good) return fail("a torn result");
        else num_read++;
    }
    printf("%ld\n", num_overtaken);
    iapc_ring_close(&ring);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 3) return fail("usage: see the top of torture.c");
    if (strcmp(argv[1], "die") == 0) return write_results(argv[2], 4, 1);
    if (argc < 4) return fail("usage: see the top of torture.c");
    if (strcmp(argv[1], "write") == 0) return write_results(argv[2], (uint32_t)atoi(argv[3]), 0);
    return read_results(argv[2], atol(argv[3]), strcmp(argv[1], "peek") == 0);
}
