// What the kernel's calls take and give, in its own words: what the backends that speak to it
// share.
#ifndef IOENGINE_IO_KERNEL_VALUES_H_
#define IOENGINE_IO_KERNEL_VALUES_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "ioengine/io/io_request.h"

struct open_how;
struct statx;

namespace ioengine {

// Of kAdvise: for posix_fadvise.
int KernelAdvice(const IoRequest& request);
// Of kAllocate and kPunch: for fallocate.
int AllocateMode(const IoRequest& request);
// Of kRemove: for unlinkat.
int RemoveFlags(const IoRequest& request);
// Of kRename: for renameat2.
unsigned RenameFlags(const IoRequest& request);

// Of kOpen with `beneath`: for openat2; lies in the scratch of `path`, with these open flags.
open_how* PrepareOpenHow(PathArguments& path, int open_flags);

// Of kStat: where statx puts its result, which lies in the scratch of `path`; and what to ask for.
struct statx* PrepareStatx(PathArguments& path);
unsigned StatxMask();
int StatxFlags(const PathArguments& path);

// Of kList: has the scratch of `path` hold `entries` until TakeResults.
void KeepEntries(PathArguments& path, std::unique_ptr<std::vector<DirectoryEntry>> entries);

// Moves the kernel's form of a successful operation's results to where the caller reads them. To
// be called once, on the shard.
void TakeResults(IoCommand& command);

// Of the d_type of a directory's entry.
FileKind KindOfEntry(uint8_t type);

}  // namespace ioengine

#endif  // IOENGINE_IO_KERNEL_VALUES_H_
