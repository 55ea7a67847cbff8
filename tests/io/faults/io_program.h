// A program that uses every public operation of files, directories, readers and writers.

#ifndef IOENGINE_TESTS_IO_FAULTS_IO_PROGRAM_H_
#define IOENGINE_TESTS_IO_FAULTS_IO_PROGRAM_H_

#include <string>

#include "absl/status/status.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// Makes the directory `root`, works in it, and leaves it empty. Ends with the first error, and then
// leaves what there is, so that each run wants a directory of its own. DataLoss when it reads what
// it did not write.
Task<absl::Status> RunIoProgram(ShardIo* io, std::string root);

// The parts: names; one file, and reads of many ranges; a reader and a writer. The others want a
// directory.
Task<absl::Status> UseNames(ShardIo* io, std::string root);
Task<absl::Status> UseFile(ShardIo* io, std::string root);
Task<absl::Status> UseSequential(ShardIo* io, std::string root);

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_FAULTS_IO_PROGRAM_H_
