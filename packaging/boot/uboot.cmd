# U-Boot script for a host that Tandem updates. It goes to the EFI system partition as boot.scr, where U-Boot finds it automatically:
#
#   mkimage -T script -d uboot.cmd boot.scr
#
# The environment lists the slots in order (BOOT_ORDER="B A"), marks proven ones (BOOT_A_OK=1: started without counting) and counts the
# tries left for the others (BOOT_B_LEFT=3). A try is recorded before it is made; if it cannot be recorded, the slot is not tried. Slot A
# starts EFI/tandem/a.efi from the partition of this script, slot B EFI/tandem/b.efi.
#
# A board that stores its environment elsewhere sets tandem_save to the command that writes it.

tandem_saves=saveenv
if test "x${tandem_save}" != x; then tandem_saves="${tandem_save}"; fi

slots="${BOOT_ORDER}"
if test "x${BOOT_ORDER}" = x; then slots="A B"; fi

good=
others=
for slot in ${slots}; do
  proven=x
  left=x
  kernel=x
  if test "${slot}" = A; then
    proven=x${BOOT_A_OK}
    left=x${BOOT_A_LEFT}
    kernel=EFI/tandem/a.efi
  fi
  if test "${slot}" = B; then
    proven=x${BOOT_B_OK}
    left=x${BOOT_B_LEFT}
    kernel=EFI/tandem/b.efi
  fi

  start=no
  if test "${proven}" = x1; then
    good="${good} ${slot}"
    start=yes
  else
    others="${others} ${slot}"
    # Tries left minus one; not every board supports arithmetic.
    fewer=none
    previous=none
    for number in 0 1 2 3 4 5 6 7 8 9; do
      if test "${left}" = "x${number}"; then fewer=${previous}; fi
      previous=${number}
    done
    if test "${fewer}" != none; then
      setenv BOOT_${slot}_LEFT ${fewer}
      if ${tandem_saves}; then start=yes; else echo "tandem: the try of slot ${slot} could not be counted"; fi
    fi
  fi

  if test "${start}" = yes; then
    echo "tandem: starting slot ${slot}"
    # Otherwise the board's own command line would replace the kernel image's.
    setenv bootargs
    if load ${devtype} ${devnum}:${distro_bootpart} ${kernel_addr_r} ${kernel}; then
      bootefi ${kernel_addr_r}
    fi
    echo "tandem: slot ${slot} did not start"
  fi
done

# Reached only with no slot left: a new or lost environment has no proven slot, and a proven slot may fail once; then it comes first
# again. Slots not in BOOT_ORDER stay out.
echo "tandem: no slot is left, so that each gets three tries"
setenv BOOT_ORDER ${good} ${others}
for slot in ${slots}; do
  setenv BOOT_${slot}_LEFT 3
done
${tandem_saves}
sleep 3
reset
