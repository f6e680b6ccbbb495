// tidegate-bench log [Google Benchmark's options]: what the ring log costs, each figure beside a baseline of the same
// run.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <string_view>

int main(int count, char** arguments) {
  if (count < 2 || std::string_view(arguments[1]) != "log") {
    std::fprintf(stderr, "usage: tidegate-bench log [--benchmark_filter=REGEX ...]\n");
    return 64;
  }
  arguments[1] = arguments[0];
  int rest = count - 1;
  benchmark::Initialize(&rest, arguments + 1);
  if (benchmark::ReportUnrecognizedArguments(rest, arguments + 1)) return 64;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
