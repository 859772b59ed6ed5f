/* Full-size labels and confidence from low-resolution logits; loaded with ctypes, so no Python header is needed.
 *
 * Inside a cell of four neighbouring logits the interpolated values are convex combinations of the corners. The class
 * that wins all four corners therefore wins the whole cell, and a class whose largest corner is below the smallest
 * corner of another cannot win anywhere in it. Only what is left is interpolated.
 *
 * runtime/tail/in_numpy.py states the same arithmetic, operation by operation: first along the row, then between the
 * rows, each as (1 - far) * low + far * high in float32. Compile with -ffp-contract=off, or the two would differ.
 *
 * Loops over whole blocks without branches are there for the compiler to vectorise. Versions for AVX2 and AVX-512 were
 * measured: a sixth faster than what every x86-64 has, too little for choosing among versions at run time.
 */
#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "float32 is computed in a wider type here: labels would differ from numpy's, which is used instead"
#endif

#define BLOCK 16 /* runtime/tail/axis.py splits both axes into segments of at most this many pixels */
#define MAX_CLASSES 255

/* One direction of the frame. Segment s holds pixels start[s] .. start[s] + length[s] - 1, all of them between the
 * logits low[s] and high[s]; far[s * BLOCK + i] is the weight of `high` in its i-th pixel. */
typedef struct {
    int32_t num_segments;
    const int32_t *low, *high, *start, *length;
    const float *far;
} Axis;

/* Sizes, tables and scratch memory of one Tail; mirrored in runtime/tail/compiled.py. */
typedef struct {
    int32_t num_classes, height, width; /* of the logits */
    int32_t frame_width, stride;        /* stride >= frame_width + BLOCK: blocks are written whole */
    Axis rows, columns;
    float *best;      /* width */
    int32_t *winners; /* height * width */
    uint8_t *band;    /* BLOCK * stride */
    float *lines;     /* 2 * stride */
} Plan;

typedef struct {
    int32_t count, ids[MAX_CLASSES];
    float corners[MAX_CLASSES][4]; /* top left, top right, bottom left, bottom right */
} Candidates;

/* To be raised with every change of Plan or of a function's arguments; compiled.py expects it. */
int32_t tail_interface(void) { return 1; }

static inline void find_winners(const Plan *plan, const float *logits) {
    const size_t width = (size_t)plan->width, size = (size_t)plan->height * width;
    float *restrict best = plan->best;
    for (size_t row = 0; row < (size_t)plan->height; row++) {
        int32_t *restrict winners = plan->winners + row * width;
        memset(winners, 0, width * sizeof *winners);
        memcpy(best, logits + row * width, width * sizeof *best);
        for (int32_t class = 1; class < plan->num_classes; class++) {
            const float *restrict values = logits + (size_t)class * size + row * width;
            for (size_t x = 0; x < width; x++) {
                const int is_higher = values[x] > best[x]; /* not >=: of equal classes the lowest id wins */
                winners[x] = is_higher ? class : winners[x];
                best[x] = is_higher ? values[x] : best[x];
            }
        }
    }
}

static inline void find_candidates(const Plan *plan, const float *logits, const size_t corners[4], Candidates *candidates) {
    const size_t size = (size_t)plan->height * (size_t)plan->width;
    float values[MAX_CLASSES][4], highest[MAX_CLASSES], bound = 0;
    for (int32_t class = 0; class < plan->num_classes; class++) {
        for (int i = 0; i < 4; i++) values[class][i] = logits[(size_t)class * size + corners[i]];
        float low = values[class][0], high = values[class][0];
        for (int i = 1; i < 4; i++) {
            low = values[class][i] < low ? values[class][i] : low;
            high = values[class][i] > high ? values[class][i] : high;
        }
        highest[class] = high;
        bound = class == 0 || low > bound ? low : bound;
    }
    candidates->count = 0;
    for (int32_t class = 0; class < plan->num_classes; class++) {
        if (highest[class] < bound) continue;
        memcpy(candidates->corners[candidates->count], values[class], sizeof values[class]);
        candidates->ids[candidates->count++] = class;
    }
}

/* Labels of a cell in which several classes may win. `lanes`, a constant wherever this is inlined, is at least the
 * number of columns; the surplus is overwritten by the cell to the right. */
static inline void fill_mixed(const Candidates *candidates, const float *row_far, int32_t num_rows, const float *column_far,
                       const int lanes, uint8_t *restrict out, size_t stride) {
    float top[MAX_CLASSES][BLOCK], bottom[MAX_CLASSES][BLOCK];
    for (int32_t k = 0; k < candidates->count; k++) {
        const float *corners = candidates->corners[k];
        for (int x = 0; x < lanes; x++) {
            const float far = column_far[x], near = 1.0f - far;
            top[k][x] = near * corners[0] + far * corners[1];
            bottom[k][x] = near * corners[2] + far * corners[3];
        }
    }
    for (int32_t y = 0; y < num_rows; y++) {
        const float far = row_far[y], near = 1.0f - far;
        float best[BLOCK];
        int32_t labels[BLOCK];
        for (int x = 0; x < lanes; x++) {
            best[x] = near * top[0][x] + far * bottom[0][x];
            labels[x] = candidates->ids[0];
        }
        for (int32_t k = 1; k < candidates->count; k++) {
            const int32_t id = candidates->ids[k];
            for (int x = 0; x < lanes; x++) {
                const float value = near * top[k][x] + far * bottom[k][x];
                const int is_higher = value > best[x];
                labels[x] = is_higher ? id : labels[x];
                best[x] = is_higher ? value : best[x];
            }
        }
        for (int x = 0; x < lanes; x++) out[(size_t)y * stride + (size_t)x] = (uint8_t)labels[x];
    }
}

static inline void fill_cell(const Plan *plan, const float *logits, int32_t row, int32_t column, uint8_t *out) {
    const Axis *rows = &plan->rows, *columns = &plan->columns;
    const size_t top = (size_t)rows->low[row] * (size_t)plan->width;
    const size_t bottom = (size_t)rows->high[row] * (size_t)plan->width;
    const size_t left = (size_t)columns->low[column], right = (size_t)columns->high[column];
    const size_t corners[4] = {top + left, top + right, bottom + left, bottom + right};
    const int32_t *winners = plan->winners, winner = winners[corners[0]];
    const size_t stride = (size_t)plan->stride;
    if (winner == winners[corners[1]] && winner == winners[corners[2]] && winner == winners[corners[3]]) {
        for (int32_t y = 0; y < rows->length[row]; y++) memset(out + (size_t)y * stride, winner, BLOCK);
        return;
    }
    Candidates candidates;
    find_candidates(plan, logits, corners, &candidates);
    const float *row_far = rows->far + (size_t)row * BLOCK, *column_far = columns->far + (size_t)column * BLOCK;
    if (columns->length[column] <= BLOCK / 2)
        fill_mixed(&candidates, row_far, rows->length[row], column_far, BLOCK / 2, out, stride);
    else
        fill_mixed(&candidates, row_far, rows->length[row], column_far, BLOCK, out, stride);
}

/* logits (num_classes, height, width) -> labels (frame height, frame_width) */
void tail_labels(const Plan *plan, const float *logits, uint8_t *labels) {
    const Axis *rows = &plan->rows, *columns = &plan->columns;
    const size_t frame_width = (size_t)plan->frame_width;
    find_winners(plan, logits);
    for (int32_t row = 0; row < rows->num_segments; row++) {
        /* Whole blocks are written from left to right, each over the surplus of the last: into a band with a margin,
         * because in the frame the surplus would fall on pixels of the next row that are already right. */
        for (int32_t column = 0; column < columns->num_segments; column++)
            fill_cell(plan, logits, row, column, plan->band + columns->start[column]);
        uint8_t *out = labels + (size_t)rows->start[row] * frame_width;
        for (int32_t y = 0; y < rows->length[row]; y++)
            memcpy(out + (size_t)y * frame_width, plan->band + (size_t)y * (size_t)plan->stride, frame_width);
    }
}

static inline void widen_line(const Plan *plan, const float *values, float *restrict line) {
    const Axis *columns = &plan->columns;
    for (int32_t column = 0; column < columns->num_segments; column++) {
        const float left = values[columns->low[column]], right = values[columns->high[column]];
        const float *far = columns->far + (size_t)column * BLOCK;
        float *restrict out = line + columns->start[column];
        for (int x = 0; x < BLOCK; x++) out[x] = (1.0f - far[x]) * left + far[x] * right;
    }
}

/* certainty (height, width) in 0..1 -> confidence (frame height, frame_width) in 0..255 */
void tail_confidence(const Plan *plan, const float *certainty, uint8_t *confidence) {
    const Axis *rows = &plan->rows;
    const int32_t frame_width = plan->frame_width;
    float *top = plan->lines, *bottom = plan->lines + plan->stride;
    int32_t in_top = -1, in_bottom = -1;
    for (int32_t row = 0; row < rows->num_segments; row++) {
        if (rows->low[row] == in_bottom) {
            float *const line = top;
            top = bottom, in_top = in_bottom;
            bottom = line, in_bottom = -1;
        }
        if (rows->low[row] != in_top) {
            in_top = rows->low[row];
            widen_line(plan, certainty + (size_t)in_top * (size_t)plan->width, top);
        }
        if (rows->high[row] != in_bottom) {
            in_bottom = rows->high[row];
            widen_line(plan, certainty + (size_t)in_bottom * (size_t)plan->width, bottom);
        }
        for (int32_t y = 0; y < rows->length[row]; y++) {
            const float far = rows->far[(size_t)row * BLOCK + (size_t)y], near = 1.0f - far;
            uint8_t *restrict out = confidence + (size_t)(rows->start[row] + y) * (size_t)frame_width;
            const float *restrict above = top, *restrict below = bottom;
            for (int32_t x = 0; x < frame_width; x++) {
                const float value = (near * above[x] + far * below[x]) * 255.0f;
                /* Floats near 2^23 are whole numbers: the sum rounds halves to even, as torch does, without a call. */
                out[x] = (uint8_t)(int32_t)((value + 8388608.0f) - 8388608.0f);
            }
        }
    }
}
