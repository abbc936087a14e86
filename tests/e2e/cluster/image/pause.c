/* A process that does nothing: the pod sandbox, and the workload "web" of the
 * tests. As a sandbox it is the pod's first process, so it reaps what is left to
 * it; it leaves at once on TERM or INT. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void Leave(int signal_number) {
  (void)signal_number;
  _exit(0);
}

static void Reap(int signal_number) {
  (void)signal_number;
  while (waitpid(-1, 0, WNOHANG) > 0) {
  }
}

int main(void) {
  signal(SIGTERM, Leave);
  signal(SIGINT, Leave);
  signal(SIGCHLD, Reap);
  for (;;) pause();
}
