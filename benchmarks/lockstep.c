// The measure for Sh4lt ends: the least that a writer and one reader of the Shmdata protocol have to do, with nothing that keeps
// them from harm. Phases and output as crates/gst/examples/bench has them.
//
//     lockstep write PATH FRAMES FPS BYTES      0 frames a second: as fast as they go
//     lockstep read PATH
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { READERS, WRITER };
enum { WARM_UP, COUNTED, END };
// As many frames as the pool of `bench feed` has: a source has more memory than a processor's cache.
enum { SETTLE = 50, PICTURES = 10 };
#define SLOW 10000000ull

static void check(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

static uint64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void until(uint64_t when) {
    struct timespec t = {when / 1000000000ull, when % 1000000000ull};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0) {}
}

static int operate(int set, int count, const short (*steps)[2]) {
    struct sembuf operations[3];
    for (int i = 0; i < count; i++) operations[i] = (struct sembuf){steps[i][0], steps[i][1], 0};
    return semop(set, operations, count) == 0;
}

static struct sockaddr_un address(const char *path) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strncpy(a.sun_path, path, sizeof a.sun_path - 1);
    return a;
}

static uint64_t wall, cpu;

static void begin(void) { wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID); }

static void report(uint64_t frames, const char *more) {
    uint64_t spent = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"frames\": %lu, \"cpu_ns\": %lu, \"wall_ns\": %lu%s}\n", frames, spent, now(CLOCK_MONOTONIC) - wall, more);
    fflush(stdout);
}

static void put(int set, int client, char *segment, char *frame, size_t size, uint64_t phase) {
    uint64_t stamp[2] = {phase, now(CLOCK_MONOTONIC)}, update[2] = {1, size};
    memcpy(frame, stamp, sizeof stamp);
    check(operate(set, 3, (const short[][2]){{READERS, 0}, {WRITER, 1}, {READERS, 1}}), "enter");
    // Before it is announced, as everybody who cares for writers that die half-way has it.
    memcpy(segment, frame, size);
    if (client >= 0 && send(client, update, sizeof update, MSG_NOSIGNAL) == sizeof update)
        operate(set, 1, (const short[][2]){{READERS, 1}});
    check(operate(set, 2, (const short[][2]){{READERS, -1}, {WRITER, -1}}), "leave");
}

static int ready(int fd) {
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, 0) == 1;
}

static int greet(int listener, size_t size) {
    static char hello[4112], answer[4112];
    memcpy(hello + 8, &size, sizeof size);
    strcpy(hello + 16, "application/x-frame");
    int client = accept(listener, NULL, NULL);
    check(send(client, hello, sizeof hello, MSG_NOSIGNAL) == sizeof hello, "greet");
    check(recv(client, answer, sizeof answer, 0) > 0, "acknowledgement");
    return client;
}

static int writer(const char *path, uint64_t frames, uint64_t fps, size_t size) {
    struct sockaddr_un a = address(path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = -1, go = 0, over = 0;
    check(bind(listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(listener, 10) == 0, path);
    int id = shmget(ftok(path, 'n'), size, IPC_CREAT | IPC_EXCL | 0600);
    int set = semget(ftok(path, 'm'), 2, IPC_CREAT | IPC_EXCL | 0600);
    check(id >= 0 && set >= 0, "segment and semaphores");
    char *segment = shmat(id, NULL, 0), *pictures = malloc(PICTURES * size), byte;
    // Drawn once: memory that was never written to is one page of zeros, which costs next to nothing to read.
    memset(pictures, 1, PICTURES * size);
    for (int first = 1; !go && !over; first = 0) {
        if (first) puts("ready"), fflush(stdout);
        if (ready(listener)) client = greet(listener, size);
        if (ready(0)) read(0, &byte, 1) == 1 ? (go = 1) : (over = 1);
        put(set, client, segment, pictures, size, WARM_UP);
        until(now(CLOCK_MONOTONIC) + SLOW);
    }
    uint64_t due = now(CLOCK_MONOTONIC);
    for (uint64_t sent = 0; go && sent < SETTLE + frames; sent++) {
        if (fps) until(due), due += 1000000000ull / fps;
        if (sent == SETTLE) begin();
        put(set, client, segment, pictures + sent % PICTURES * size, size, sent < SETTLE ? WARM_UP : COUNTED);
    }
    uint64_t wall_end = now(CLOCK_MONOTONIC), cpu_end = now(CLOCK_PROCESS_CPUTIME_ID);
    while (!over) {
        if (client >= 0 && ready(client)) close(client), client = -1;
        put(set, client, segment, pictures, size, END);
        until(now(CLOCK_MONOTONIC) + SLOW);
        over = ready(0) && read(0, &byte, 1) != 1;
    }
    semctl(set, 0, IPC_RMID);
    shmctl(id, IPC_RMID, NULL);
    unlink(path);
    wall += now(CLOCK_MONOTONIC) - wall_end, cpu += now(CLOCK_PROCESS_CPUTIME_ID) - cpu_end;
    if (go) report(frames, "");
    return 0;
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int reader(const char *path) {
    static char hello[4112];
    struct sockaddr_un a = address(path);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    check(connect(s, (struct sockaddr *)&a, sizeof a) == 0, path);
    check(recv(s, hello, sizeof hello, MSG_WAITALL) == sizeof hello, "greeting");
    char *segment = shmat(shmget(ftok(path, 'n'), 0, 0), NULL, SHM_RDONLY);
    int set = semget(ftok(path, 'm'), 2, 0);
    check(segment != (char *)-1 && set >= 0, "segment and semaphores");
    check(send(s, hello, sizeof hello, MSG_NOSIGNAL) == sizeof hello, "acknowledge");
    uint64_t update[2], stamp[2], count = 0, room = 1 << 20, *latencies = malloc(room * sizeof *latencies);
    for (int first = 1; recv(s, update, sizeof update, 0) == sizeof update; first = 0) {
        check(operate(set, 1, (const short[][2]){{WRITER, 0}}), "lock");
        uint64_t here = now(CLOCK_MONOTONIC);
        memcpy(stamp, segment, sizeof stamp);
        check(operate(set, 1, (const short[][2]){{READERS, -1}}), "unlock");
        if (first) puts("ready"), fflush(stdout);
        if (stamp[0] == END) break;
        if (stamp[0] == COUNTED) {
            if (count == 0) begin();
            if (count < room) latencies[count++] = here - stamp[1];
        }
    }
    char more[100];
    qsort(latencies, count, sizeof *latencies, by_size);
    check(count > 0, "no frame was counted");
    snprintf(more, sizeof more, ", \"latency_p50_ns\": %lu, \"latency_p99_ns\": %lu", latencies[count / 2], latencies[count * 99 / 100]);
    report(count, more);
    return 0;
}

int main(int count, char **arguments) {
    if (count == 6 && strcmp(arguments[1], "write") == 0)
        return writer(arguments[2], atoll(arguments[3]), atoll(arguments[4]), atoll(arguments[5]));
    if (count == 3 && strcmp(arguments[1], "read") == 0) return reader(arguments[2]);
    return fprintf(stderr, "usage: lockstep write PATH FRAMES FPS BYTES | read PATH\n"), 2;
}
