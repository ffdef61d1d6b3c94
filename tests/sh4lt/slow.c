// Preloaded into a writer: delays the removal of each segment, so that other processes see the state before it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/shm.h>
#include <unistd.h>

int shmctl(int id, int command, struct shmid_ds *status) {
    int (*next)(int, int, struct shmid_ds *) = dlsym(RTLD_NEXT, "shmctl");
    if (command == IPC_RMID) usleep(50000);
    return next(id, command, status);
}
