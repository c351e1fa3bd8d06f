"""Policy files: ``policy.yaml``, its demands, gates, review rule, and the tests that come with it.

The format, in the order of the file:

    policy: NAME
    version: TEXT
    demands:                     each stated once, under its id; gates name them
      ID: {says: TEXT, passes: CEL, unclear: CEL}          `unclear` may be absent
    gates:
      TIER:                      a tier that is stated has a gate into each of staging, canary, prod
        STAGE:
          demands: [ID…]
          requires: [SECTION…]       of the packet; what is not there is a named gap. May be absent
          approvals: {ROLE: COUNT}   may be absent
          deadline: {due_days: N, remind_after_days: N, escalate_to: ROLE, lapse_after_days: N}
                                     by when people decide; may be absent, as may all but `due_days`
    preconditions: {fresh_days: N, rehearsed_hours: N, approved_days: N, failed_changes: {at_most: N, days: N},
                    fresh_views: true}
                                 what must hold when a version enters prod; may be absent, as may each
    certification:               how long an approval into prod holds; may be absent, as may a tier
      TIER: {days: N, review_days: N, role: ROLE, on_drift: true|false}
    break_glass: {demands: [ID…], approvals: {ROLE: COUNT}, review_days: N, role: ROLE}
                                 the floor for emergencies; without it there is no break-glass
    deny:                        what nobody may do while it holds, whatever roles permit; may be absent
      ID: {says: TEXT, when: CEL, tests: [{actor: {…}, act: TEXT, to: STAGE, …, denies: true|false}…]}
    changes: {approvals: {ROLE: COUNT}}    who lets another policy in; one approver where it is absent
    rollout:                     what a canary must show; a tier without it has no canary that can hold
      TIER: {labelled_share: SHARE, days: N, may_lose: SHARE}
    review: {on: [VERDICT…], due_days: N, role: ROLE}
    example: {…}                 the packet that the tests start from
    tests:
      - name: TEXT
        tiers: [TIER…]
        to: STAGE
        set: {dotted.path: VALUE}      changes to the example
        without: [dotted.path…]        what is missing from it
        expect: {RULE: VERDICT}        every rule of the gate that is not named must pass

A rule is a demand, by its id, or a section that the gate requires, as ``section NAME``. A test that lists several
tiers is one test in each. Tests run whenever a policy is loaded: a policy that does not judge as its own tests say,
or has none, does not load; neither does one with a tier `high` that holds a rule which no test has seen both pass
and refuse, or a demand of its break-glass that no test of any gate has.
"""

from tidegate.adapters.policy_files.files import PolicyFiles

__all__ = ["PolicyFiles"]
