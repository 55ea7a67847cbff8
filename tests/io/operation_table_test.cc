#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/io/io_operation.h"
#include "ioengine/io/io_request.h"

namespace ioengine {
namespace {

IoCommand CommandWith(uint64_t offset_bytes) {
  IoCommand command;
  command.request.offset_bytes = offset_bytes;
  command.path = std::make_unique<PathArguments>();
  return command;
}

// Only passed through.
IoWaiter* Waiter(uintptr_t number) { return reinterpret_cast<IoWaiter*>(number); }

TEST(OperationTableTest, RefusesAtItsBoundAndLeavesTheCommand) {
  OperationTable table(2);
  IoCommand first = CommandWith(1);
  IoCommand second = CommandWith(2);
  IoCommand third = CommandWith(3);
  IoOperation* const one = table.Acquire(first, Waiter(8));
  IoOperation* const two = table.Acquire(second, nullptr);
  ASSERT_NE(one, nullptr);
  ASSERT_NE(two, nullptr);
  EXPECT_NE(one, two);
  EXPECT_EQ(first.path, nullptr);
  EXPECT_EQ(one->command.request.offset_bytes, 1u);
  EXPECT_EQ(one->waiter, Waiter(8));
  EXPECT_EQ(table.in_flight(), 2u);
  EXPECT_EQ(table.Acquire(third, nullptr), nullptr);
  EXPECT_NE(third.path, nullptr);
  EXPECT_EQ(third.request.offset_bytes, 3u);
  EXPECT_EQ(table.Release(*one).request.offset_bytes, 1u);
  EXPECT_EQ(table.in_flight(), 1u);
  EXPECT_NE(table.Acquire(third, nullptr), nullptr);
  table.Release(*one);
  table.Release(*two);
}

TEST(OperationTableTest, ASlotComesBackClean) {
  OperationTable table(1);
  IoCommand command = CommandWith(1);
  IoOperation* operation = table.Acquire(command, Waiter(8));
  operation->transferred_bytes = 7;
  operation->attempts = 9;
  operation->cancel_requested = true;
  IoCommand back = table.Release(*operation);
  EXPECT_NE(back.path, nullptr);
  operation = table.Acquire(back, nullptr);
  EXPECT_EQ(operation->transferred_bytes, 0u);
  EXPECT_EQ(operation->attempts, 0);
  EXPECT_FALSE(operation->cancel_requested);
  EXPECT_FALSE(operation->in_backlog);
  EXPECT_EQ(operation->waiter, nullptr);
  EXPECT_EQ(operation->next, nullptr);
  table.Release(*operation);
}

TEST(OperationTableTest, FindsAnOperationByItsTagsAloneWhileItIsInFlight) {
  OperationTable table(4);
  IoCommand command;
  IoOperation* const operation = table.Acquire(command, nullptr);
  const uint32_t index = operation->index;
  const uint32_t generation = operation->generation;
  EXPECT_EQ(table.Find(index, generation), operation);
  EXPECT_EQ(table.Find(index, generation + 1), nullptr);
  EXPECT_EQ(table.Find(index, generation - 1), nullptr);
  EXPECT_EQ(table.Find(4, generation), nullptr);
  EXPECT_EQ(table.Find(UINT32_MAX, generation), nullptr);
  table.Release(*operation);
  EXPECT_EQ(table.Find(index, generation), nullptr);
  EXPECT_EQ(table.Find(index, generation + 1), nullptr) << "free slots are never found";
  IoOperation* const again = table.Acquire(command, nullptr);
  ASSERT_EQ(again, operation);
  EXPECT_EQ(table.Find(index, generation), nullptr) << "a completion of the slot's earlier use";
  EXPECT_EQ(table.Find(index, generation + 1), operation);
  table.Release(*again);
}

TEST(OperationTableTest, GenerationsWrapAround) {
  OperationTable table(1);
  IoCommand command;
  IoOperation* operation = table.Acquire(command, nullptr);
  operation->generation = UINT32_MAX;
  EXPECT_EQ(table.Find(0, UINT32_MAX), operation);
  table.Release(*operation);
  operation = table.Acquire(command, nullptr);
  EXPECT_EQ(table.Find(0, 0), operation);
  EXPECT_EQ(table.Find(0, UINT32_MAX), nullptr);
  table.Release(*operation);
}

TEST(OperationTableTest, AgreesWithAModel) {
  constexpr size_t kCapacity = 17;
  OperationTable table(kCapacity);
  std::mt19937 random(3);
  std::vector<IoOperation*> held;
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 2 == 0) {
      IoCommand command;
      command.request.offset_bytes = static_cast<uint64_t>(step);
      IoOperation* const operation = table.Acquire(command, nullptr);
      ASSERT_EQ(operation == nullptr, held.size() == kCapacity);
      if (operation != nullptr) {
        ASSERT_EQ(table.Find(operation->index, operation->generation), operation);
        held.push_back(operation);
      }
    } else if (!held.empty()) {
      std::swap(held[random() % held.size()], held.back());
      table.Release(*held.back());
      held.pop_back();
    }
    ASSERT_EQ(table.in_flight(), held.size());
  }
  size_t seen = 0;
  table.ForEachInFlight([&](IoOperation& operation) {
    ++seen;
    table.Release(operation);
  });
  EXPECT_EQ(seen, held.size());
}

TEST(OperationTableDeathTest, AnOperationOutlivesTheTable) {
  EXPECT_DEATH(
      {
        OperationTable table(1);
        IoCommand command;
        table.Acquire(command, nullptr);
      },
      "operations outlive their backend");
}

TEST(OperationTableDeathTest, ReleaseTwice) {
  OperationTable table(1);
  IoCommand command;
  IoOperation* const operation = table.Acquire(command, nullptr);
  table.Release(*operation);
  EXPECT_DEATH(table.Release(*operation), "released twice");
}

}  // namespace
}  // namespace ioengine
