/* Feeds the runtime as a camera's driver would: RATE frames a second, a bright bar over grey noise.
 *
 *     cc -std=c11 -O2 -I runtime/ring runtime/ring/example/write_frames.c -o write_frames
 *     ./write_frames NAME WIDTH HEIGHT RATE [NUM_FRAMES]
 *
 * Exit status: 0 after NUM_FRAMES frames (without it there is no end), 1 for an error.
 */
#include "iapc_ring.h"

#include <stdlib.h>

static void draw(uint8_t *frame, uint32_t height, uint32_t width, long frame_id) {
    uint32_t noise = (uint32_t)frame_id * 2654435761u + 1;
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            noise = noise * 1664525u + 1013904223u;
            const uint8_t value = x / 8 == (uint32_t)frame_id % (width / 8 + 1) ? 255 : (uint8_t)(96 + (noise >> 27));
            memset(frame + 3 * ((size_t)y * width + x), value, 3);
        }
    }
}

static int write_frame(iapc_ring *ring, const uint8_t *frame, long frame_id, int64_t captured_ns) {
    iapc_ring_info info = {0};
    iapc_ring_status status = {0};
    info.frame_id = frame_id;
    info.captured_ns = captured_ns;
    if (iapc_ring_write(ring, &info, frame, NULL) != 0) return -1;
    status.now_ns = iapc_ring_now_ns();
    return iapc_ring_beat(ring, &status);
}

int main(int argc, char **argv) {
    if (argc < 5 || atoi(argv[2]) < 1 || atoi(argv[3]) < 1 || atof(argv[4]) <= 0) {
        fprintf(stderr, "usage: %s NAME WIDTH HEIGHT RATE [NUM_FRAMES]\n", argv[0]);
        return 1;
    }
    iapc_ring_layout wanted = {0};
    wanted.kind = IAPC_RING_FRAMES;
    wanted.width = (uint32_t)atoi(argv[2]);
    wanted.height = (uint32_t)atoi(argv[3]);
    wanted.num_slots = 4;
    wanted.deadline_ns = 100000000;
    iapc_ring ring;
    if (iapc_ring_create(&ring, argv[1], &wanted) != 0) {
        fprintf(stderr, "%s\n", ring.problem);
        return 1;
    }
    uint8_t *frame = malloc(ring.layout.plane_bytes);
    const long num_frames = argc > 5 ? atol(argv[5]) : INT32_MAX;
    const double period_s = 1.0 / atof(argv[4]);
    struct timespec period = {(time_t)period_s, (long)((period_s - (double)(time_t)period_s) * 1e9)};
    int problem = frame == NULL;
    for (long frame_id = 0; frame_id < num_frames && !problem; frame_id++) {
        const int64_t captured_ns = iapc_ring_now_ns();
        draw(frame, wanted.height, wanted.width, frame_id);
        problem = write_frame(&ring, frame, frame_id, captured_ns);
        nanosleep(&period, NULL);
    }
    free(frame);
    iapc_ring_close(&ring);
    return problem != 0;
}
