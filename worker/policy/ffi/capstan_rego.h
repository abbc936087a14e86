// C interface of libcapstan_rego.a (src/lib.rs): Rego by regorus' interpreter. Kept in step by
// hand.
//
// Every function may be called from any thread and never throws or unwinds. Text is UTF-8 and not
// zero-ended. A buffer that a function filled is released with capstan_rego_free_buffer, whatever
// the function returned.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CapstanRegoPolicy CapstanRegoPolicy;

typedef struct {
  const uint8_t* data;
  size_t size;
} CapstanRegoText;

typedef struct {
  CapstanRegoText
      path;  // Shown in messages; a path ending in "_test.rego" marks a module of tests.
  CapstanRegoText source;
} CapstanRegoModule;

typedef struct {
  uint8_t* data;
  size_t size;
  size_t capacity;
} CapstanRegoBuffer;

typedef struct {
  uint64_t max_input_bytes;
  uint64_t max_output_bytes;
} CapstanRegoLimits;

enum {
  CAPSTAN_REGO_OK = 0,
  CAPSTAN_REGO_UNDEFINED = 1,         // The rule has no value for this input.
  CAPSTAN_REGO_INVALID_ARGUMENT = 2,  // Input that is not JSON, text that is not UTF-8.
  CAPSTAN_REGO_BAD_MODULE = 3,        // A module does not parse or compile, or is refused.
  CAPSTAN_REGO_EVALUATION_ERROR = 4,  // A rule raised an error, or held or gave too much.
  CAPSTAN_REGO_TIMEOUT = 5,
  CAPSTAN_REGO_TOO_LARGE = 6,  // The input is over its limit.
  CAPSTAN_REGO_PANIC = 7,      // A bug in the engine.
};

// Parses the modules. `out` is JSON, one object a module, in order:
// {"path", "package": ["a", "b"], "rego_v1": has `import rego.v1`, "rules": [names]}; or a message.
int32_t capstan_rego_describe(const CapstanRegoModule* modules, size_t count,
                              CapstanRegoBuffer* out);

// Compiles the modules and refuses recursion, chains of calls that are too deep, unknown functions,
// builtins that are not deterministic or allocate without limit, and `with` outside tests. `rule`
// must exist. Builtin errors are strict.
int32_t capstan_rego_compile(const CapstanRegoModule* modules, size_t count, CapstanRegoText rule,
                             const CapstanRegoLimits* limits, CapstanRegoPolicy** out_policy,
                             CapstanRegoBuffer* out_error);

// Evaluates one rule ("data.a.b.c") for at most `timeout_ns` of wall-clock time and with at most
// 64 MiB of memory. `out` is compact JSON when the result is CAPSTAN_REGO_OK, otherwise a message.
int32_t capstan_rego_evaluate(const CapstanRegoPolicy* policy, CapstanRegoText rule,
                              CapstanRegoText input, uint64_t timeout_ns, CapstanRegoBuffer* out);

void capstan_rego_free_policy(CapstanRegoPolicy* policy);
void capstan_rego_free_buffer(CapstanRegoBuffer* buffer);

#ifdef __cplusplus
}
#endif
