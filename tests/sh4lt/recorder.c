// Preloaded into a writer or reader: logs every message that it sends over the socket at RECORD_PATH to the file RECORD_LOG.
// Each line is "writer" or "reader", a space, and the bytes in hex.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef int name_of(int, struct sockaddr *restrict, socklen_t *restrict);

static int at_the_path(name_of *name, int fd, const char *path) {
    struct sockaddr_un address = {0};
    socklen_t length = sizeof(address) - 1;
    return name(fd, (struct sockaddr *)&address, &length) == 0 && address.sun_family == AF_UNIX &&
           strcmp(address.sun_path, path) == 0;
}

static void record(int fd, const unsigned char *bytes, ssize_t count) {
    const char *path = getenv("RECORD_PATH"), *log = getenv("RECORD_LOG");
    if (!path || !log || count <= 0) return;
    const char *side = at_the_path(getsockname, fd, path) ? "writer " : at_the_path(getpeername, fd, path) ? "reader " : 0;
    char *line = side ? malloc(16 + 2 * count) : 0;
    if (!line) return;
    char *end = stpcpy(line, side);
    for (ssize_t i = 0; i < count; i++) end += sprintf(end, "%02x", bytes[i]);
    *end++ = '\n';
    int file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ssize_t (*plain)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    if (file >= 0) {
        if (plain(file, line, end - line) < 0) abort();
        close(file);
    }
    free(line);
}

ssize_t send(int fd, const void *bytes, size_t count, int flags) {
    ssize_t (*next)(int, const void *, size_t, int) = dlsym(RTLD_NEXT, "send");
    ssize_t sent = next(fd, bytes, count, flags);
    record(fd, bytes, sent);
    return sent;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    ssize_t sent = next(fd, bytes, count);
    record(fd, bytes, sent);
    return sent;
}
