// References inside text.
#include "orchestrator/workflow/expression.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

TEST(Expression, CutsTextIntoLiteralsAndReferences) {
  ParsedText text = parse_text("a ${steps.model.best}b${params.x}");
  ASSERT_TRUE(text.errors.empty());
  ASSERT_EQ(text.pieces.size(), 4u);
  EXPECT_EQ(text.pieces[0].text, "a ");
  EXPECT_EQ(text.pieces[1].reference.name, "model");
  EXPECT_EQ(text.pieces[1].reference.output, "best");
  EXPECT_EQ(text.pieces[1].at, 2u);
  EXPECT_EQ(text.pieces[3].reference.scope, Expression::Scope::params);
  EXPECT_FALSE(text.whole_reference());
  EXPECT_TRUE(parse_text("${env.HOME}").whole_reference());
}

TEST(Expression, TellsWhereAReferenceIsWrongAndReadsOn) {
  ParsedText text = parse_text("${nothing.x} ${params.good} ${params.open");
  ASSERT_EQ(text.errors.size(), 2u);
  EXPECT_EQ(text.errors[0].at, 0u);
  EXPECT_EQ(text.errors[1].at, 28u);
  EXPECT_EQ(text.errors[1].message, "this ${ is never closed");
  EXPECT_EQ(text.pieces[1].reference.name, "good");
}

TEST(Expression, FillsStepReferencesWhereverTheyStand) {
  Json value = *Json::parse(R"({"command":["cat","${steps.a}/x","${steps.b.c}"],"n":3})");
  Result<Json> filled =
      fill_step_references(value, [](std::string_view step, std::string_view output) -> Result<std::string> {
        return "/" + std::string(step) + "." + std::string(output);
      });
  ASSERT_TRUE(filled);
  EXPECT_EQ(*filled, *Json::parse(R"({"command":["cat","/a./x","/b.c"],"n":3})"));
}

TEST(Expression, AReferenceThatCannotBeResolvedFailsTheWhole) {
  Result<Json> filled =
      fill_step_references(Json("${steps.a}"), [](std::string_view, std::string_view) -> Result<std::string> {
        return Error{Cause::not_found, "no a"};
      });
  ASSERT_FALSE(filled);
  EXPECT_EQ(filled.error().message, "no a");
}

TEST(Expression, WritesNumbersAsJsonDoes) {
  EXPECT_EQ(*as_text(Json(3)), "3");
  EXPECT_EQ(*as_text(Json(0.5)), "0.5");
  EXPECT_EQ(*as_text(Json(true)), "true");
  EXPECT_EQ(*as_text(Json("x")), "x");
  EXPECT_FALSE(as_text(Json(Json::Array{})));
}

}  // namespace
}  // namespace gnnflow
