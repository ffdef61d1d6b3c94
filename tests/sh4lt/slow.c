// Preloaded into a writer: it takes its time before it removes a segment, so that what it did before is seen by others.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/shm.h>
#include <unistd.h>

int shmctl(int id, int command, struct shmid_ds *status) {
    int (*next)(int, int, struct shmid_ds *) = dlsym(RTLD_NEXT, "shmctl");
    if (command == IPC_RMID) usleep(50000);
    return next(id, command, status);
}
