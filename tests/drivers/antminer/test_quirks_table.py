"""Every documented quirk of AntMiner firmware, the guard against it, and the row of tests that switches it off.

The rows are in `test_quirks.py` (changes), `test_quirks_of_reading.py` (what is read), `test_quirks_of_replies.py`
(the API and its figures) and `test_quirks_of_orders.py` (the web side). A guard is named below `drivers`; the tests of
this module keep table, rows and guards in step.

The API on port 4028
  a reply ends in NUL                                    protocol.cgminer.NulDecoder.feed                 a_nul_behind_the_text
  ... or in a line end                                   protocol.cgminer.NulDecoder.feed                 a_line_end_in_place_of_the_nul
  one recv of 4095 bytes: a request goes in one write    link.Link.write                                  request_in_one_piece
  ... and what is longer is never read                   antminer.protocol.rpc.SEND_CAP_BYTES             a_request_longer_than_one_recv
  the name of a command has 15 letters at most           antminer.protocol.rpc.COMMAND_CAP                a_name_longer_than_the_buffer
  one thread accepts: a silent client blocks the others  wire.Wire.probe                                  a_silent_client_blocks_the_others
  the port is shut while the mining process restarts     antminer.driver.Antminer.identify                the_api_is_away_while_its_process_restarts
  ... also while the mode changes, for up to a minute    watch.is_silent                                  the_api_is_shut_while_the_mode_changes
  old firmware joins commands with +                     antminer.protocol.rpc.AntminerRpc._forms         old_api_joins_with_plus
  newer firmware takes an array                          antminer.protocol.rpc.AntminerRpc._forms         new_api_takes_an_array
  an unknown form is met with silence                    antminer.protocol.rpc.AntminerRpc._forms         an_unknown_form_is_met_with_silence
  ... with a bare error                                  antminer.protocol.rpc.AntminerRpc._forms         an_unknown_form_is_met_with_a_plain_error
  ... with a reply without STATUS                        antminer.protocol.rpc.AntminerRpc._forms         an_unknown_form_is_met_with_no_verdict
  a command in an array is refused under its own key     antminer.protocol.replies.AntminerJoined.part    one_of_several_is_refused
  the newer API refuses by error_message                 antminer.protocol.replies.AntminerJoined.part    the_new_api_refuses_in_words_of_its_own
  old firmware denies what is not in group A (code 45)   antminer.protocol.replies.AntminerReply.refusal  old_firmware_denies_most_commands
  the newer API's STATUS is an object                    antminer.protocol.replies.AntminerReply.verdict  new_status_is_an_object
  ... or a list                                          antminer.protocol.replies.AntminerReply.verdict  new_status_is_a_list
  keys in lower case                                     antminer.protocol.replies._upper                 lower_case_keys
  old stats lack a comma between two objects             antminer.protocol.repair.mend                    stats_without_a_comma
  a comma before the first                               antminer.protocol.repair.mend                    a_comma_before_the_first
  a comma after the last                                 antminer.protocol.repair.mend                    a_comma_after_the_last
  raw line ends inside texts                             protocol.lenient._LENIENT                        a_raw_line_end_in_a_text
  long stats are cut now and then                        antminer.protocol.rpc.AntminerRpc.ask            a_long_reply_is_cut_now_and_then

Figures
  numbers are texts                                      antminer.reading.snapshot.number                 rates_are_texts
  ... in the newer API too                               antminer.reading.snapshot.number                 new_figures_are_texts
  an empty text is absent                                antminer.reading.snapshot.scaled                 an_empty_text_is_absent
  difficulties as 262K                                   antminer.reading.snapshot.scaled                 difficulties_are_shortened
  Last Share Time 0 means never                          antminer.reading.snapshot.ago_s                  never_a_share_is_no_age
  GHS counts in the unit of the family                   antminer.models.spec_for                         unit_of_the_family
  rate_unit decides: TH/s                                antminer.reading.snapshot.unit_hs                rates_are_in_terahash
  ... in the newer API too                               antminer.reading.snapshot.unit_hs                new_rates_are_in_terahash
  godminer writes rates with their unit                  antminer.reading.snapshot.rate_hs                rates_name_their_unit
  ... with or without a blank before it                  antminer.reading.figures._RATE                   a_unit_without_a_blank
  Ethash boards in GH/s beside a whole in MH/s           antminer.models.AntminerSpec.board_unit_hs       boards_count_in_another_unit
  2026: scrypt counts GH/s, and names no unit            antminer.reading.snapshot._TWICE                 bare_figures_count_as_their_texts
  a nominal rate wrong by a thousand is told, not used   antminer.reading.snapshot._is_doubtful           nominal_rate_a_thousand_times_too_high
  boards far off the whole: neither is told              antminer.reading.snapshot.doubt_of               boards_count_otherwise_than_the_whole
  ... it hashes all the same                             antminer.changes.mode.sleeps                     a_rate_in_doubt_is_a_rate
  ... Chipless: the whole in Sol/s, boards in kSol/s     reading.boards.doubt_of                          a_whole_in_sol_beside_boards_in_ksol
  boards are numbered from 6 (S9), to 16 (E3)            antminer.reading.snapshot._CHAIN_KEYS            boards_are_numbered_from_six
  empty slots are listed beside boards                   antminer.reading.snapshot._boards                sixteen_slots_for_three_boards
  the newer API counts boards from 0                     reading.boards.with_serials                      boards_are_counted_from_zero
  fans in odd slots                                      antminer.reading.snapshot._FAN_KEYS              fans_in_odd_slots
  hydros have fans of 0 rpm                              antminer.reading.snapshot._fans                  water_has_no_fans
  hydros: inlet and outlet in turn in temp_pic           antminer.reading.snapshot._side                  water_sensors_by_their_side
  temperatures below zero between dashes                 antminer.reading.figures._TEMPS                  temperatures_below_zero
  a frequency as 1600M                                   antminer.reading.snapshot.number                 a_frequency_with_a_letter
  Mode is a constant 2 on the S19                        antminer.reading.snapshot.number_of_mode         the_mode_two_of_every_s19
  ... of LuxOS too: others' numbers are no mode          antminer.reading.slow.running_number             a_constant_mode_of_another_firmware
  254 is sleep on the S17                                antminer.reading.snapshot.SLEEPING               seventeens_sleep_by_another_number
  chain_power as "3250 W"                                antminer.reading.figures.watts                   watts_are_text
  port 6060 tells watts on some models                   antminer.reading.slow.Meter.watts                watts_on_a_port_of_their_own
  ... and "error 6060 cmd" on others                     antminer.reading.slow.meter_watts                a_meter_that_is_none
  newer stats: watts as power (L9) or watt (L11)         antminer.reading.snapshot._WATT_KEYS             watts_in_the_newer_stats
  ... of which 0 is none                                 antminer.reading.snapshot._watts                 a_meter_that_stands_at_zero
  unset pools are listed                                 antminer.reading.snapshot.pools_of               an_unset_slot_is_listed
  a dead pool is Deed                                    antminer.changes.pools._is_alive                 a_dead_pool_is_deed
  asleep, STATS and SUMMARY are empty                    antminer.reading.slow._configured                asleep_it_says_nothing
  all chips off and awake: a protection stop             antminer.reading.slow.mode_of                    a_protection_stop_is_no_sleep
  ... only where it was read that it is awake            antminer.reading.slow.is_awake                   all_chips_off_and_no_mode_told
  ... or that it knows no sleep                          antminer.reading.slow.is_awake                   a_protection_stop_of_what_cannot_sleep

Who it is
  a suffix behind the model                              antminer.models.clean_model                      a_suffix_behind_the_model
  a second line behind the model                         antminer.models.clean_model                      a_line_behind_the_model
  a platform in place of the model                       antminer.models._PLATFORM                        a_platform_in_place_of_the_model
  an empty Type                                          antminer.identify.is_nameless                    a_type_that_is_empty
  KS5 is also another maker's model                      antminer.identify.MARKS                          a_name_two_makers_use
  the first S19 images have no miner_type.cgi            antminer.models.spec_for                         an_early_build_without_miner_type
  a release name since 2025, a date before               antminer.identify._version                       a_version_by_name_beside_a_date
  serinum "Unknown"                                      antminer.identify._NO_SERIAL                     a_serial_that_is_unknown
  ... or serial_no                                       antminer.identify._SERIAL_KEYS                   a_serial_under_its_other_name
  no MAC for seconds after a boot                        antminer.identify.normalize_mac                  no_mac_for_seconds_after_a_boot
  ... which is no other miner                            changes.identity._TELLS_WITHIN_S                 no_mac_is_no_other_miner
  Z15: no miner_type.cgi, an API without a name          antminer.models.clean_model                      a_model_that_only_its_system_information_names
  other firmwares keep the realm                         antminer.identify.classify                       another_firmware_keeps_the_realm
  ... Chipless: named in CompileTime alone               antminer.identify.MARKS                          another_firmware_names_itself_in_its_date
  ... rwglr is mskminer, unless Hiveon is named          antminer.identify.MARKS                          rwglr_is_not_hiveons_alone
  other web servers behind a stock text                  antminer.protocol.cgi.is_stock_realm             another_firmware_keeps_the_text

The web server
  the realm in small letters                             antminer.protocol.cgi.is_stock_realm             realm_in_small_letters
  GET / may be 404: the realm comes from a script        antminer.protocol.cgi._ESTABLISH                 the_root_page_may_be_missing
  opaque and algorithm want to be echoed                 protocol.digest.answer                           a_challenge_with_opaque_and_algorithm
  credentials are for the very path                      protocol.digest.answer                           credentials_are_for_one_path
  a nonce may grow old                                   protocol.digest.Digest.learn                     nonce_grows_old
  a changed password is 401 for ever                     antminer.protocol.cgi.AUTH_RETRY_S               a_changed_password_is_refused_for_ever
  a body is taken in before it is refused                antminer.protocol.cgi.Cgi.establish              a_body_is_read_before_it_is_refused
  411 without Content-Length                             protocol.http.build_request                      a_body_without_length_is_refused
  scripts send no length                                 protocol.http.ResponseDecoder._begin_body        a_script_gives_no_length
  ... and no Content-Type, or a wrong one                antminer.protocol.cgi.Cgi.get_json               a_script_names_no_type
  three scripts at once hang an old server               wire.Wire._turn                                  many_scripts_hang_the_web_server
  a script crashes (500)                                 antminer.changes.orders.STARTING_TRIES           a_script_crashes_now_and_then
  a plain GET resets the device                          antminer.protocol.cgi.READS                      a_get_wipes_the_device

The configuration
  empty while it starts                                  antminer.changes.orders.STARTING_TRIES           config_empty_while_starting
  without pools: a save would wipe it                    antminer.protocol.conf.pool_list                 config_without_pools
  values left out: `"key" : ,`                           antminer.protocol.repair.mend                    config_with_gaps
  the mode is read and written under two names           antminer.protocol.conf.name_mode                 mode_under_its_write_name
  ... read under either                                  antminer.protocol.conf._MODE_KEYS                mode_under_its_other_read_name
  ... a number after a save                              antminer.protocol.conf.mode_text                 mode_as_number_after_a_save
  ... empty; written so, the process restarts            antminer.protocol.conf.MinerConf.mode_number     an_empty_mode_restarts_the_process
  ... taken only as text, in silence                     antminer.changes.mode.spellings                  mode_only_as_text
  ... or with a 400                                      antminer.changes.mode.spellings                  mode_as_number_is_a_bad_request
  ... and so with the pools beside it                    antminer.changes.pools.spellings                 pools_with_a_number_are_a_bad_request
  a mode the image lacks is taken with OK                antminer.changes.mode.read_back                  mode_taken_in_silence
  low is 3                                               antminer.changes.mode.low_numbers                low_is_three
  ... or 2                                               antminer.changes.mode.low_numbers                low_is_two
  S9 and L3 have no sleep                                antminer.protocol.conf.MinerConf.has_mode        s9_and_l3_cannot_sleep
  asleep by its file, and hashing until a reboot         antminer.changes.mode.runs                       asleep_and_hashing
  a blank in a value tears the body                      antminer.protocol.conf.is_shell_safe             shell_cuts_at_blanks
  ... between values too                                 antminer.protocol.conf.json_body                 a_body_with_blanks_is_torn
  ... and what stands in the file already                antminer.protocol.conf.is_shell_safe             a_blank_in_what_stands_there
  backslashes are eaten                                  antminer.protocol.conf.is_shell_safe             backslashes_are_eaten
  slots not sent keep their pools                        antminer.protocol.conf.filled_up                 short_list_keeps_old_tail
  a password not sent stays                              antminer.protocol.conf.json_body                 a_password_left_out_is_the_old_one
  passwords are shown in clear                           antminer.changes.pools.shown                     passwords_are_shown_in_clear
  fewer than three pools may be refused                  antminer.changes.orders.judge                    few_pools_are_invalid
  empty slots may not be listed                          antminer.protocol.conf._trimmed                  empty_slots_are_not_listed
  without algo the factory's comes back                  antminer.protocol.conf.echo_rest                 algorithm_falls_back
  bitmain-user-ip-cat is dropped when not sent           antminer.protocol.conf.echo_rest                 worker_suffix_is_dropped
  ... and puts the address behind the worker             antminer.changes.pools.lists                     workers_carry_the_address
  hydros reset fans and frequency                        antminer.protocol.conf.changed_beside            a_save_resets_what_stood_beside
  any save loses the hashrate percentage                 antminer.protocol.conf.changed_beside            any_save_loses_the_percentage
  signed pools win, answered with OK                     antminer.changes.pools.are_locked                signed_pools_win
  ... or ERR is written                                  antminer.changes.pools.is_spoilt                 a_spoilt_signature_writes_its_own_word
  a lock file: busy                                      antminer.changes.mode._BUSY_TRIES                busy_for_a_while
  ... left behind by a client that goes                  antminer.protocol.cgi.Cgi.act                    who_leaves_early_leaves_the_lock
  no lock file: two writers spoil it                     wire.Wire._turn                                  two_writers_corrupt_the_file
  flash wears                                            antminer.protocol.conf.same_pools                flash_wears_with_every_save
  success without an M-code                              antminer.changes.orders.judge                    a_success_without_a_code
  no answer at all                                       antminer.changes.pools._stored                   a_change_that_is_never_answered
  old: values count by position                          antminer.protocol.conf.form_body                 values_count_by_position
  old: an unknown layout                                 antminer.protocol.conf.check_layout              form_of_unknown_layout
  old: the frequency may be a letter                     antminer.protocol.conf._word                     a_frequency_may_be_a_letter
  old: few percent codes are decoded                     antminer.protocol.conf.percent                   few_percent_codes_are_known

Other orders
  the last order in the mailbox wins                     wire.Wire.quiet_for                              mailbox_last_writer_wins
  ... after an upload too                                wire.Wire.quiet_for                              an_order_after_the_upload_cancels_its_reboot
  the light wants text, 400 otherwise                    antminer.changes.light.spellings                 light_as_text
  nowhere to ask for the light                           antminer.changes.light.is_on                     no_way_to_ask_for_the_light
  old: the order to blink is answered at its end         antminer.changes.light.start_patience_s          light_that_blocks
  the first S9 cannot blink                              antminer.changes.light.is_on                     early_s9_have_no_light
  a reboot by POST after a 405                           antminer.changes.reboot.is_refused_method        reboot_by_post
  ... after a 404                                        antminer.changes.reboot.is_refused_method        reboot_by_post_after_a_404
  ... is answered in plain text                          antminer.changes.reboot.judge_answer             reboot_answers_in_plain_text
  ... begins 53 s late                                   antminer.changes.reboot.AntminerReboot.outage    reboot_begins_late
  the watchdog restarts the process alone                changes.verification.Verification.was_away       watchdog_restart_is_no_reboot
  old: the uptime has no unit                            antminer.changes.uptime.boot_uptimes_s           uptime_without_unit
  a merged container is cut by the client                antminer.protocol.bmu.is_container               merged_container
  an upload has one part, cut by length                  antminer.changes.firmware.multipart              upload_is_cut_by_length
  ... named file                                         antminer.changes.firmware.PART_NAME              part_must_be_named_file
  old: an upload waits for a reboot                      antminer.changes.firmware.reboots_by_itself      upload_waits_for_a_reboot
  ... and newer ones that answer in text                 antminer.changes.firmware.reboots_by_itself      a_new_build_waits_for_its_reboot
  a flash may fail in silence                            changes.firmware.has_changed                     flash_that_fails_in_silence
  an older image is refused by code                      antminer.changes.firmware._judge_upload          an_older_image_is_refused_by_code
  old: an image is refused in words on a page            antminer.changes.firmware.failure_text           an_old_page_refuses_in_words
  log.cgi and get_kernel_log.cgi in each other's place   antminer.changes.logs.script_names               log_under_the_other_name
  ... on old firmware too                                antminer.changes.logs.script_names               the_log_of_old_firmware_under_the_new_name

Documented, and nothing here can go wrong by it, so that no guard could be switched off:
  what is never asked: plain-text commands, `devs` (Tenperature, rates of 0), `summary.cgi` and its kin ("Socket connect
  failed"), `get_miner_status.cgi`, `temp_max`, `miner_id`, the static `ipaddress`, `When` (a clock in 1970), `Getwork` and
  `Getworks`, `Pool Stale%%`, `/kaonsu/...`, the writing commands of ports 4028 and 6060;
  what is never sent: password and network changes, log archives, `upgrade_clear.cgi`, the misspelt `bitmain-fan-pwn`;
  what JSON allows: two blank lines before a script's body; `null` for a setting that is not there (not echoed);
  what ends a blink (a mode change, an archive, a reboot): the light is asked for, not remembered;
  what is said of the same figure twice: godminer's `temp_in_pcb_N` beside `tempN`, `Mode` "H" of the T15;
  what is a field's plain meaning (chip marks, sensors of 0, keys left out for a dead board): the recordings' expectations
  have these;
  inlet and outlet of the S21+ Hyd in `temp_pcb`, as one client has it: the firmware's own page reads `temp_pic`.
"""

from __future__ import annotations

import pkgutil
import re

import pytest

from tests.drivers.antminer import (
    test_quirks,
    test_quirks_of_orders,
    test_quirks_of_reading,
    test_quirks_of_replies,
)
from tests.drivers.antminer.quirk import Quirk

_LINE = re.compile(r"  (\S.*?)  +([a-zA-Z_0-9.]+\.[a-zA-Z_0-9.]+) +([a-z_0-9]+)")
TABLE = [
    match.groups() for line in (__doc__ or "").splitlines() if (match := _LINE.fullmatch(line))
]
MODULES = (test_quirks, test_quirks_of_reading, test_quirks_of_replies, test_quirks_of_orders)
ROWS: list[Quirk] = [row for module in MODULES for row in module.QUIRKS]


def test_the_table_names_each_row_once_and_no_other() -> None:
    assert sorted(name for _, _, name in TABLE) == sorted(row.name for row in ROWS)


@pytest.mark.parametrize("guard", sorted({guard for _, guard, _ in TABLE}))
def test_a_guard_of_the_table_is_there(guard: str) -> None:
    pkgutil.resolve_name(f"drivers.{guard}")
