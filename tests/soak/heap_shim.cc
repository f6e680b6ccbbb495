// Preloaded into the daemon: counts what is in use of its heap, which its resident memory does not tell: that has the
// holes between, too. A file that TIDEGATE_HEAP_COUNTS names holds the numbers as long as the process runs: bytes,
// blocks, and how many blocks there are of each class of sizes, four classes to each doubling (heap_counts.py reads
// them).
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* block);
}

namespace {

constexpr std::size_t kClasses = 128;

struct Counts {
  std::atomic<std::int64_t> bytes;
  std::atomic<std::int64_t> blocks;
  std::array<std::atomic<std::int64_t>, kClasses> by_class;
};

// The exponent, and the two bits behind the first. No block is smaller than 16 bytes.
std::size_t class_of(std::size_t size) {
  const auto exponent = static_cast<std::size_t>(std::bit_width(size | 16) - 1);
  const std::size_t of_class = 4 * exponent + ((size >> (exponent - 2)) & 3);
  return of_class < kClasses ? of_class : kClasses - 1;
}

Counts early;
Counts* counts = &early;

void note(void* block, std::int64_t sign) {
  if (block == nullptr) return;
  const std::size_t size = ::malloc_usable_size(block);
  counts->bytes.fetch_add(sign * static_cast<std::int64_t>(size), std::memory_order_relaxed);
  counts->blocks.fetch_add(sign, std::memory_order_relaxed);
  counts->by_class[class_of(size)].fetch_add(sign, std::memory_order_relaxed);
}

void* noted(void* block) {
  note(block, 1);
  return block;
}

// Before main(), and so before there are threads.
__attribute__((constructor)) void share() {
  const char* const path = std::getenv("TIDEGATE_HEAP_COUNTS");
  const int fd = path == nullptr ? -1 : ::open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* const at = ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (at == MAP_FAILED) return;
  auto* const shared = new (at) Counts;
  shared->bytes = early.bytes.load();
  shared->blocks = early.blocks.load();
  for (std::size_t i = 0; i < kClasses; ++i) shared->by_class[i] = early.by_class[i].load();
  counts = shared;
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) { return noted(__libc_malloc(size)); }

void* calloc(std::size_t count, std::size_t size) { return noted(__libc_calloc(count, size)); }

void* realloc(void* block, std::size_t size) {
  note(block, -1);
  void* const moved = __libc_realloc(block, size);
  if (moved == nullptr && size != 0) note(block, 1);  // it is where it was
  return noted(moved);
}

void* memalign(std::size_t alignment, std::size_t size) { return noted(__libc_memalign(alignment, size)); }

void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }

int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  void* const made = memalign(alignment, size);
  if (made == nullptr) return ENOMEM;
  *block = made;
  return 0;
}

void free(void* block) {
  note(block, -1);
  __libc_free(block);
}

}  // extern "C"
