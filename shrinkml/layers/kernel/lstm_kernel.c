/* One direction of an LSTM layer over a whole batch of sequences, on a CPU in float32: inference, and training.
 *
 * torch's own LSTM computes with dense matrices only, and a loop of torch calls costs more per step than the thin
 * products of a low-rank layer. Here a step is two small matrix products and one pass over the gates, with all weights
 * packed once per call in the order in which the products read them.
 *
 * Vectors are GCC's (also Clang's) portable ones. On x86-64 Linux the compiler makes a version each for AVX-512, AVX2
 * and the baseline, and the loader picks the one that the processor has. Only libc is needed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16              /* floats in a vector; narrower processors get several instructions each */
#define VECTORS 4             /* vectors that a tile is wide */
#define COLUMNS (LANES * VECTORS)
#define ROWS 4                /* rows that a tile is high: ROWS * VECTORS sums stay in AVX-512 registers */
#define CHUNK 32              /* frames whose input product is made at once, so that the gates stay in cache */
#define ALIGNMENT 64

#if defined(__x86_64__) && defined(__GLIBC__)
#define VERSIONS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VERSIONS
#endif
#define INLINE static inline __attribute__((always_inline))

typedef float vector __attribute__((vector_size(4 * LANES), aligned(4)));
typedef float quad __attribute__((vector_size(16), aligned(4)));

/* A weight matrix [n, k] as panels of COLUMNS rows, each panel transposed to [k, COLUMNS] and filled up with zeros. */
typedef struct {
    long n, k;
    float *panels;
} packed;

INLINE long packed_size(long n, long k) { return (n + COLUMNS - 1) / COLUMNS * COLUMNS * k; }

/* to[i * COLUMNS + j] = from[j * k + i] for i, j < 4. */
INLINE void transpose_4x4(const float *from, long k, float *to)
{
    quad a = *(const quad *)from, b = *(const quad *)(from + k);
    quad c = *(const quad *)(from + 2 * k), d = *(const quad *)(from + 3 * k);
    quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(quad *)to = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
    *(quad *)(to + COLUMNS) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
    *(quad *)(to + 2 * COLUMNS) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
    *(quad *)(to + 3 * COLUMNS) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

/* panel[i * COLUMNS + j] = weight[j * k + i] for the `filled` <= COLUMNS rows of a panel; zeros beyond them. */
INLINE void pack_panel(const float *weight, int filled, long k, float *panel)
{
    const long block = 64; /* columns at a time, so that the rows being read stay in the first-level cache */
    if (filled < COLUMNS)
        memset(panel, 0, sizeof(float) * COLUMNS * k);
    for (long first = 0; first < k; first += block) {
        long last = first + block < k ? first + block : k;
        for (int j = 0; j < filled; j += 4)
            for (long i = first; i < last; i += 4)
                if (j + 4 <= filled && i + 4 <= last)
                    transpose_4x4(weight + j * k + i, k, panel + i * COLUMNS + j);
                else
                    for (int q = j; q < j + 4 && q < filled; q++)
                        for (long p = i; p < i + 4 && p < last; p++)
                            panel[p * COLUMNS + q] = weight[q * k + p];
    }
}

INLINE packed pack(const float *weight, long n, long k, float *panels)
{
    for (long row = 0; row < n; row += COLUMNS)
        pack_panel(weight + row * k, n - row < COLUMNS ? (int)(n - row) : COLUMNS, k, panels + row * k);
    return (packed){n, k, panels};
}

/* y[rows, width] += x[rows, k] @ panel[k, COLUMNS], for a constant `rows` <= ROWS and width <= COLUMNS. */
INLINE void add_tile(int rows, long k, const float *x, const float *panel, float *y, long y_stride, int width)
{
    vector sums[ROWS][VECTORS];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < VECTORS; j++)
            sums[i][j] = (vector){0};
    for (long p = 0; p < k; p++)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < VECTORS; j++)
                sums[i][j] += x[i * k + p] * *(const vector *)(panel + p * COLUMNS + j * LANES);
    for (int i = 0; i < rows; i++) {
        float *out = y + i * y_stride;
        if (width == COLUMNS)
            for (int j = 0; j < VECTORS; j++)
                *(vector *)(out + j * LANES) += sums[i][j];
        else
            for (int j = 0; j < width; j++)
                out[j] += ((const float *)sums[i])[j];
    }
}

/* y[m, n] += x[m, k] @ weight^T. A row's result does not depend on the rows beside it. */
INLINE void add_product(long m, const float *x, packed weight, float *y)
{
    long k = weight.k, n = weight.n;
    for (long column = 0; column < n; column += COLUMNS) {
        const float *panel = weight.panels + column * k;
        int width = n - column < COLUMNS ? (int)(n - column) : COLUMNS;
        float *out = y + column;
        long row = 0;
        for (; row + ROWS <= m; row += ROWS)
            add_tile(ROWS, k, x + row * k, panel, out + row * n, n, width);
        switch (m - row) {
        case 3: add_tile(3, k, x + row * k, panel, out + row * n, n, width); break;
        case 2: add_tile(2, k, x + row * k, panel, out + row * n, n, width); break;
        case 1: add_tile(1, k, x + row * k, panel, out + row * n, n, width); break;
        }
    }
}

/* e^x to 2e-7, relative: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (Cephes, expf). */
INLINE float fast_exp(float x)
{
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f; /* 1.5 * 2^23: rounds to the nearest integer */
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;     /* ln 2 in two parts */
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    union { int32_t bits; float value; } power = {((int32_t)n + 127) * (1 << 23)};
    return (p * r * r + r + 1.0f) * power.value;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + fast_exp(-x)); }

INLINE float hyperbolic_tangent(float x) { return 2.0f / (1.0f + fast_exp(-2.0f * x)) - 1.0f; }

/* The LSTM equations for one frame: gates [4, units] (input, forget, cell, output), state c and h updated. */
INLINE void update(long units, const float *restrict gates, float *restrict c, float *restrict h)
{
    for (long u = 0; u < units; u++) {
        float kept = sigmoid(gates[units + u]) * c[u];
        float added = sigmoid(gates[u]) * hyperbolic_tangent(gates[2 * units + u]);
        c[u] = kept + added;
        h[u] = sigmoid(gates[3 * units + u]) * hyperbolic_tangent(c[u]);
    }
}

/* As `update`, and `gates` become what stands behind their sigmoid or tanh. */
INLINE void update_kept(long units, float *restrict gates, float *restrict c, float *restrict h)
{
    for (long u = 0; u < units; u++) {
        float in = sigmoid(gates[u]), forget = sigmoid(gates[units + u]);
        float cell = hyperbolic_tangent(gates[2 * units + u]), out = sigmoid(gates[3 * units + u]);
        c[u] = forget * c[u] + in * cell;
        h[u] = out * hyperbolic_tangent(c[u]);
        gates[u] = in;
        gates[units + u] = forget;
        gates[2 * units + u] = cell;
        gates[3 * units + u] = out;
    }
}

/* The gradient of `update_kept` for one frame: `gates` become the gradient of what it was given, d_c that of c before;
 * d_output + d_h is the gradient of h.
 */
INLINE void gradient(long units, float *restrict gates, const float *restrict c_before, const float *restrict d_output,
                     const float *restrict d_h, float *restrict d_c)
{
    for (long u = 0; u < units; u++) {
        float in = gates[u], forget = gates[units + u], cell = gates[2 * units + u], out = gates[3 * units + u];
        float tanh_c = hyperbolic_tangent(forget * c_before[u] + in * cell), d = d_output[u] + d_h[u];
        float dc = d_c[u] + d * out * (1.0f - tanh_c * tanh_c);
        gates[u] = dc * cell * in * (1.0f - in);
        gates[units + u] = dc * c_before[u] * forget * (1.0f - forget);
        gates[2 * units + u] = dc * in * (1.0f - cell * cell);
        gates[3 * units + u] = d * tanh_c * out * (1.0f - out);
        d_c[u] = dc * forget;
    }
}

INLINE float *reserve(long floats)
{
    return aligned_alloc(ALIGNMENT, (sizeof(float) * floats + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

/* Runs one direction of a layer over packed sequences (frames of one time step stand together, longest sequence first).
 *
 * steps, batch_sizes  [steps] sequences that are still running at each step, not increasing.
 * units, n_in         hidden units; columns of `input`.
 * input               [frames, n_in], multiplied with weight_in [4 units, n_in].
 * bias                [4 units], or NULL.
 * rank, down, up      recurrent matrix up [4 units, rank] @ down [rank, units]; rank 0: up [4 units, units] alone.
 * h, c                [batch, units], initial states in, final states out.
 * output              [frames, units], the values of h.
 * reverse             whether time runs from the last step to the first.
 *
 * Returns 0, or -1 when memory is short.
 */
VERSIONS
int lstm_direction(long steps, const int64_t *batch_sizes, long units, long n_in, const float *input,
                   const float *weight_in, const float *bias, long rank, const float *down, const float *up, float *h,
                   float *c, float *output, int reverse)
{
    long n_gates = 4 * units, n_hidden = rank ? rank : units, most = 0, frames = 0;
    for (long step = 0; step < steps; step++) {
        frames += batch_sizes[step];
        most = batch_sizes[step] > most ? batch_sizes[step] : most;
    }
    long in_size = packed_size(n_gates, n_in), up_size = packed_size(n_gates, n_hidden);
    long down_size = packed_size(rank, units), gates_size = (CHUNK + most) * n_gates;
    long size = in_size + up_size + down_size + gates_size + most * rank;
    float *memory = reserve(size);
    if (!memory)
        return -1;
    packed in_panels = pack(weight_in, n_gates, n_in, memory);
    packed up_panels = pack(up, n_gates, n_hidden, memory + in_size);
    packed down_panels = pack(down, rank, units, memory + in_size + up_size);
    float *gates = memory + in_size + up_size + down_size;
    float *inner = gates + gates_size; /* h behind `down`, [most, rank] */

    long frame = reverse ? frames : 0; /* the first frame that is not done, or in reverse the one after it */
    for (long step = 0; step < steps;) {
        long rows = 0, end = step;
        while (end < steps && rows < CHUNK) {
            rows += batch_sizes[reverse ? steps - 1 - end : end];
            end++;
        }
        long first = reverse ? frame - rows : frame;
        for (long row = 0; row < rows; row++)
            if (bias)
                memcpy(gates + row * n_gates, bias, sizeof(float) * n_gates);
            else
                memset(gates + row * n_gates, 0, sizeof(float) * n_gates);
        add_product(rows, input + first * n_in, in_panels, gates);
        for (; step < end; step++) {
            long batch = batch_sizes[reverse ? steps - 1 - step : step];
            frame -= reverse ? batch : 0;
            float *now = gates + (frame - first) * n_gates;
            if (rank) {
                memset(inner, 0, sizeof(float) * batch * rank);
                add_product(batch, h, down_panels, inner);
                add_product(batch, inner, up_panels, now);
            } else {
                add_product(batch, h, up_panels, now);
            }
            for (long row = 0; row < batch; row++) {
                update(units, now + row * n_gates, c + row * units, h + row * units);
                memcpy(output + (frame + row) * units, h + row * units, sizeof(float) * units);
            }
            frame += reverse ? 0 : batch;
        }
    }
    free(memory);
    return 0;
}

/* One step from finished gates [batch, 4 units]: c [batch, units] is updated, h [batch, units] written. */
VERSIONS
void lstm_gates(long batch, long units, const float *gates, float *c, float *h)
{
    for (long row = 0; row < batch; row++)
        update(units, gates + row * 4 * units, c + row * units, h + row * units);
}

/* The same recurrence for training, which keeps what its gradient needs.
 *
 * gates               [frames, 4 units]: in, the input product and biases; out, the gates behind their sigmoid or tanh.
 * h_before, c_before  [frames, units], out: the states that each frame starts from.
 * inner               [frames, rank], out: h_before behind `down`; unused where rank is 0.
 *
 * Everything else, and the result, as in `lstm_direction`.
 */
VERSIONS
int lstm_forward(long steps, const int64_t *batch_sizes, long units, float *gates, long rank, const float *down,
                 const float *up, float *h, float *c, float *output, float *h_before, float *c_before, float *inner,
                 int reverse)
{
    long n_gates = 4 * units, n_hidden = rank ? rank : units;
    long up_size = packed_size(n_gates, n_hidden), frame = 0;
    float *memory = reserve(up_size + packed_size(rank, units));
    if (!memory)
        return -1;
    packed up_panels = pack(up, n_gates, n_hidden, memory);
    packed down_panels = pack(down, rank, units, memory + up_size);
    for (long step = 0; step < steps; step++)
        frame += reverse ? batch_sizes[step] : 0;
    for (long step = 0; step < steps; step++) {
        long batch = batch_sizes[reverse ? steps - 1 - step : step];
        frame -= reverse ? batch : 0;
        memcpy(h_before + frame * units, h, sizeof(float) * batch * units);
        memcpy(c_before + frame * units, c, sizeof(float) * batch * units);
        float *now = gates + frame * n_gates;
        if (rank) {
            memset(inner + frame * rank, 0, sizeof(float) * batch * rank);
            add_product(batch, h, down_panels, inner + frame * rank);
            add_product(batch, inner + frame * rank, up_panels, now);
        } else {
            add_product(batch, h, up_panels, now);
        }
        for (long row = 0; row < batch; row++)
            update_kept(units, now + row * n_gates, c + row * units, h + row * units);
        memcpy(output + frame * units, h, sizeof(float) * batch * units);
        frame += reverse ? 0 : batch;
    }
    free(memory);
    return 0;
}

/* The gradient of `lstm_forward`.
 *
 * gates, c_before     as `lstm_forward` left them; `gates` [frames, 4 units] becomes the gradient of what came in there.
 * rank, down_t, up_t  the recurrent matrix transposed: up_t [rank, 4 units], down_t [units, rank]; rank 0: up_t
 *                     [units, 4 units] alone.
 * d_output            [frames, units], gradient of the outputs.
 * d_h, d_c            [batch, units]: in, gradients of the final states; out, of the initial ones.
 * d_inner             [frames, rank], out: gradient of `inner`.
 */
VERSIONS
int lstm_backward(long steps, const int64_t *batch_sizes, long units, float *gates, const float *c_before, long rank,
                  const float *down_t, const float *up_t, const float *d_output, float *d_h, float *d_c,
                  float *d_inner, int reverse)
{
    long n_gates = 4 * units, n_hidden = rank ? rank : units;
    long up_size = packed_size(n_hidden, n_gates), frame = 0;
    float *memory = reserve(up_size + packed_size(units, rank));
    if (!memory)
        return -1;
    packed up_panels = pack(up_t, n_hidden, n_gates, memory);
    packed down_panels = pack(down_t, units, rank, memory + up_size);
    for (long step = 0; step < steps; step++)
        frame += reverse ? 0 : batch_sizes[step];
    for (long step = 0; step < steps; step++) {
        long batch = batch_sizes[reverse ? step : steps - 1 - step];
        frame -= reverse ? 0 : batch;
        for (long row = 0; row < batch; row++) {
            long here = frame + row;
            gradient(units, gates + here * n_gates, c_before + here * units, d_output + here * units,
                     d_h + row * units, d_c + row * units);
        }
        memset(d_h, 0, sizeof(float) * batch * units);
        const float *now = gates + frame * n_gates;
        if (rank) {
            memset(d_inner + frame * rank, 0, sizeof(float) * batch * rank);
            add_product(batch, now, up_panels, d_inner + frame * rank);
            add_product(batch, d_inner + frame * rank, down_panels, d_h);
        } else {
            add_product(batch, now, up_panels, d_h);
        }
        frame += reverse ? batch : 0;
    }
    free(memory);
    return 0;
}
