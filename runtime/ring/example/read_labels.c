/* Reads the runtime's labels as a driving stack would: a line of JSON for each new result and each change of verdict.
 *
 *     cc -std=c11 -O2 -I runtime/ring runtime/ring/example/read_labels.c -o read_labels
 *     ./read_labels NAME [NUM_FRAMES]
 *
 * Exit status: 0 after NUM_FRAMES results (without it there is no end), 1 for an error, 2 once the writer has ended.
 */
#include "iapc_ring.h"

#include <stdlib.h>

static void print_line(const iapc_ring *ring, const iapc_ring_info *info, const uint8_t *labels, const char *verdict) {
    uint64_t counts[256] = {0};
    for (uint64_t i = 0; i < ring->layout.plane_bytes; i++) counts[labels[i]]++;
    const double age_ms = (double)(iapc_ring_now_ns() - info->captured_ns) / 1e6;
    printf("{\"verdict\": \"%s\", \"frame_id\": %lld, \"age_ms\": %.3f, \"shares\": {", verdict,
           (long long)info->frame_id, age_ms);
    const char *comma = "";
    for (int class = 0; class < 256; class++) {
        if (counts[class] == 0) continue;
        printf("%s\"%d\": %.6f", comma, class, (double)counts[class] / (double)ring->layout.plane_bytes);
        comma = ", ";
    }
    printf("}}\n");
    fflush(stdout);
}

/* 0 once so many results were printed, 2 when the writer has ended, 1 when the ring cannot be read. */
static int follow(iapc_ring *ring, uint8_t *labels, long num_frames) {
    const struct timespec pause = {0, 1000000};
    iapc_ring_info info = {0};
    int last_verdict = -1;
    for (long num_printed = 0; num_printed < num_frames;) {
        const int has_new = iapc_ring_copy(ring, info.number, &info, labels, NULL);
        if (has_new < 0) {
            fprintf(stderr, "%s\n", ring->problem);
            return 1;
        }
        const int verdict = iapc_ring_verdict(ring, &info, iapc_ring_now_ns(), IAPC_RING_SILENT_NS);
        if (info.number > 0 && (has_new || verdict != last_verdict))
            print_line(ring, &info, labels, iapc_ring_verdict_name(verdict));
        if (verdict == IAPC_RING_WRITER_DEAD || verdict == IAPC_RING_STOPPED) return 2;
        num_printed += has_new;
        last_verdict = verdict;
        nanosleep(&pause, NULL);
    }
    return 0;
}

int main(int argc, char **argv) {
    iapc_ring ring;
    if (argc < 2) {
        fprintf(stderr, "usage: %s NAME [NUM_FRAMES]\n", argv[0]);
        return 1;
    }
    if (iapc_ring_open(&ring, argv[1]) != 0) {
        fprintf(stderr, "%s\n", ring.problem);
        return 1;
    }
    int exit_status = 1;
    uint8_t *labels = ring.layout.kind == IAPC_RING_RESULTS ? malloc(ring.layout.plane_bytes) : NULL;
    if (labels == NULL) fprintf(stderr, "%s holds no results, or there is no memory for them\n", argv[1]);
    else exit_status = follow(&ring, labels, argc > 2 ? atol(argv[2]) : INT32_MAX);
    free(labels);
    iapc_ring_close(&ring);
    return exit_status;
}
