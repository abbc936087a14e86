/* Prints its arguments, one a line, the first is its own name: what an action's
 * pod really runs. A backslash is printed as \\ and a newline as \n, so no argument
 * looks like two. In its image it also has the names of the real programs. */
#include <stdio.h>

int main(int argc, char **argv) {
  for (int i = 0; i < argc; ++i) {
    for (const char *c = argv[i]; *c != '\0'; ++c) {
      if (*c == '\\') {
        fputs("\\\\", stdout);
      } else if (*c == '\n') {
        fputs("\\n", stdout);
      } else {
        putchar(*c);
      }
    }
    putchar('\n');
  }
  return fflush(stdout) == 0 ? 0 : 1;
}
