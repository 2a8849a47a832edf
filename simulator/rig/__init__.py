"""A CPU or GPU rig: a host in a folder, its mining programs behind ports, an SSH server in front.

What is known of each figure, and how well:

- **captured** from a running program: XMRig's null rates at the start, its rate that decays once the pool is gone,
  `pause` and `resume` shown in `paused`, `stop` that leaves `paused` false, `start` that is no method, 401 without and
  403 with a wrong token, the end within 30 ms of SIGTERM; the line of `nvidia-smi` with its `N/A`; NVML's error 12
  where no driver is.
- **documented** by who makes it: XMRig's API, amdgpu's sysfs, hwmon, DMI, `/proc`, TeamRedMiner's commands, the options
  that open a program's port.
- **third-party**, read from code that parses the replies: lolMiner, T-Rex, Rigel, BzMiner, SRBMiner-Multi, GMiner,
  NBMiner; what `nvidia-smi -pl` says.
- **unproven**, chosen by us: what XMRig's rate does during `pause`, how other programs' rates decay, the words in
  XMRig's 401 and 403, the names of TeamRedMiner's sensors, the paths of GMiner and NBMiner, whether lolMiner writes the
  bus in decimals, what a lost GPU looks like to NVML and `nvidia-smi`, all temperatures, ramps and times.
"""
