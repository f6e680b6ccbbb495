#include "daemon/start_pages.h"

#include <gtest/gtest.h>
#include <link.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;

std::size_t file_bytes_resident() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::size_t kib = 0;
    if (word == "RssFile:" && status >> kib) return kib * 1024;
  }
  return 0;
}

// Between what the compiler has put there, too.
__attribute__((no_sanitize("address"))) void touch(const volatile char* begin, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  for (std::size_t at = 0; at < bytes; at += page) (void)begin[at];
}

// Reads a byte of each page of what the program and its libraries may only read.
std::size_t touch_constant_pages() {
  std::size_t bytes = 0;
  ::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* sum) {
        for (int i = 0; i < object->dlpi_phnum; ++i) {
          const auto& segment = object->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0 || (segment.p_flags & PF_R) == 0) continue;
          touch(reinterpret_cast<const volatile char*>(object->dlpi_addr + segment.p_vaddr), segment.p_memsz);
          *static_cast<std::size_t*>(sum) += segment.p_memsz;
        }
        return 0;
      },
      &bytes);
  return bytes;
}

int written_before = 1;

int thrown_and_caught() {
  try {
    throw std::runtime_error("seven");
  } catch (const std::runtime_error& error) {
    return error.what() == std::string("seven") ? 7 : 0;
  }
}

TEST(StartPages, GivesBackWhatMayOnlyBeRead) {
  EventLoop loop;
  const std::size_t touched = touch_constant_pages();
  const std::size_t before = file_bytes_resident();
  ASSERT_GE(before, touched / 2);
  const StartPages pages(loop);
  EXPECT_LT(file_bytes_resident(), before - touched / 4 * 3);
}

TEST(StartPages, DoesSoOnceMoreWhenAllHasSettled) {
  EventLoop loop;
  const StartPages pages(loop, 20ms);
  const std::size_t touched = touch_constant_pages();
  const std::size_t most = file_bytes_resident() - touched / 4 * 3;
  const auto give_up = loop.make_timer();
  give_up->arm(10s, [&] { loop.stop(); });
  const auto look = loop.make_timer();
  const std::function<void()> look_again = [&] {
    if (file_bytes_resident() < most) return loop.stop();
    look->arm(10ms, look_again);
  };
  look_again();
  loop.run();
  EXPECT_LT(file_bytes_resident(), most);
}

TEST(StartPages, LosesNothingThatWasWritten) {
  EventLoop loop;
  written_before = 2;
  const std::string text(100, 'x');
  const StartPages pages(loop);
  EXPECT_EQ(2, written_before);
  EXPECT_EQ(std::string(100, 'x'), text);
  EXPECT_EQ(7, thrown_and_caught());
}

}  // namespace
}  // namespace tidegate::daemon
