# ADDRESS PORT SIZE...: sends a datagram of each size that must not be cut to pieces (IP_MTU_DISCOVER 10, IP_PMTUDISC_DO 2).
use strict;
use Socket;
my ($ip, $port, @sizes) = @ARGV;
for my $size (@sizes) {
  socket(my $socket, AF_INET, SOCK_DGRAM, 0) or die $!;
  setsockopt($socket, 0, 10, pack("i", 2)) or die $!;
  if (!defined send($socket, "x" x $size, 0, pack_sockaddr_in($port, inet_aton($ip)))) { print "$size $!\n"; next }
  my $ready = "";
  vec($ready, fileno($socket), 1) = 1;
  print "$size ", (select($ready, undef, undef, 10) ? "answered" : "silence"), "\n";
}
